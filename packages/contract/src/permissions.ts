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
  'template:read',
  'template:write',
  'template:delete',
  'certificate:read',
  'certificate:write',
  'certificate:delete',
  'user:read',
  'user:write',
  'user:delete',
  'role:read',
  'role:write',
  'role:delete',
  'api_key:read',
  'api_key:write',
  'api_key:delete',
  'identity_provider:read',
  'identity_provider:write',
  'identity_provider:delete',
  'secret:read',
  'log:read',
  'metric:read',
  'alert:read',
  'alert:write',
  'alert:delete',
  'audit:read',
] as const

export type Permission = (typeof PERMISSIONS)[number]

/** Only at the instance: identity providers say who anyone is, in every organization. */
export const INSTANCE_PERMISSIONS = [
  'identity_provider:read',
  'identity_provider:write',
  'identity_provider:delete',
] as const satisfies readonly Permission[]

/**
 * What one workspace may show to another of its organization (the setting `cross_workspace_reads`). Never people, keys,
 * secrets or the audit log.
 */
export const SHARED_READS = [
  'workspace:read',
  'agent:read',
  'config:read',
  'template:read',
  'certificate:read',
  'log:read',
  'metric:read',
] as const satisfies readonly Permission[]

const VIEWER = [
  'organization:read',
  'workspace:read',
  'agent:read',
  'config:read',
  'template:read',
  'certificate:read',
  'log:read',
  'metric:read',
  'alert:read',
] as const satisfies readonly Permission[]

const DEPLOYER = [...VIEWER, 'config:deploy', 'agent:reload'] as const satisfies readonly Permission[]

const OPERATOR = [
  ...DEPLOYER,
  'agent:write',
  'config:write',
  'config:delete',
  'template:write',
  'template:delete',
  'certificate:write',
  'certificate:delete',
  'alert:write',
  'alert:delete',
] as const satisfies readonly Permission[]

const ADMIN = [
  ...OPERATOR,
  'workspace:write',
  'workspace:delete',
  'agent:delete',
  'config:snippet',
  'user:read',
  'user:write',
  'user:delete',
  'role:read',
  'role:write',
  'role:delete',
  'api_key:read',
  'api_key:write',
  'api_key:delete',
  'secret:read',
  'audit:read',
] as const satisfies readonly Permission[]

const OWNER = [...ADMIN, 'organization:write', 'organization:delete'] as const satisfies readonly Permission[]

/** Keeps the instance and its tenants, and sees nothing of what they serve. */
const INSTANCE_ADMIN = [
  'organization:read',
  'organization:write',
  'organization:delete',
  'workspace:read',
  'user:read',
  'user:write',
  'user:delete',
  'role:read',
  'role:write',
  'role:delete',
  'api_key:read',
  'api_key:write',
  'api_key:delete',
  ...INSTANCE_PERMISSIONS,
  'audit:read',
] as const satisfies readonly Permission[]

/**
 * The built-in roles. `instance_admin` is bound to the instance and nothing else; the others to an organization or to one of
 * its workspaces. Each of viewer, deployer, operator, admin, owner permits what the one before does.
 */
export const ROLES = {
  instance_admin: INSTANCE_ADMIN,
  owner: OWNER,
  admin: ADMIN,
  operator: OPERATOR,
  deployer: DEPLOYER,
  viewer: VIEWER,
} as const satisfies Record<string, readonly Permission[]>
export type RoleName = keyof typeof ROLES

/** Built-in roles have the same id in every installation. */
export const ROLE_IDS: Readonly<Record<RoleName, string>> = {
  instance_admin: '00000000-0000-7000-8000-000000000001',
  owner: '00000000-0000-7000-8000-000000000002',
  admin: '00000000-0000-7000-8000-000000000003',
  operator: '00000000-0000-7000-8000-000000000004',
  deployer: '00000000-0000-7000-8000-000000000005',
  viewer: '00000000-0000-7000-8000-000000000006',
}
