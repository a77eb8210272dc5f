/** The permissions of the specification (SF-001) and those that later areas need. A role is a set of them. */
export const PERMISSIONS = [
  'organization:read',
  'organization:write',
  'organization:delete',
  'workspace:read',
  'workspace:write',
  'workspace:delete',
  'agent:read',
  'agent:write',
  'agent:reload',
  'agent:delete',
  'config:read',
  'config:write',
  'config:deploy',
  'config:delete',
  'config:snippet',
  'certificate:read',
  'certificate:write',
  'certificate:delete',
  'user:read',
  'user:write',
  'user:delete',
  'api_key:read',
  'api_key:write',
  'api_key:delete',
  'audit:read',
] as const

export type Permission = (typeof PERMISSIONS)[number]

/** Built-in roles. */
export const ROLES = { owner: PERMISSIONS } as const satisfies Record<string, readonly Permission[]>
export type RoleName = keyof typeof ROLES
