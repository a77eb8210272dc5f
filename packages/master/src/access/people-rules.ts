import {
  ApiError,
  type ApiKey,
  INSTANCE_PERMISSIONS,
  type Invitation,
  type Permission,
  ROLE_IDS,
  type Role,
  type RoleBinding,
  type User,
} from '@nxmesh/contract'
import { atInstance, coversAll, type RoleSet } from './access-rules.ts'
import type { ApiKeyRow } from './api-keys-store.ts'
import type { Caller, Scope } from './caller.ts'
import type { InvitationRow } from './links-store.ts'
import type { BindingRow, Place } from './roles-store.ts'
import type { UserRow } from './users-store.ts'

// --- What the wire shows ---

export const userOf = (row: UserRow): User => ({
  id: row.id,
  email: row.email,
  name: row.name,
  status: row.status === 'active' ? 'active' : 'disabled',
  has_password: row.password_hash !== null,
  created_at: row.created_at,
  last_login_at: row.last_login_at,
})

export const roleOf = (
  role: RoleSet,
  stored: { organization_id: string; created_at: string } | null,
): Role => ({
  id: role.role_id,
  organization_id: stored?.organization_id ?? null,
  name: role.name,
  built_in: stored === null,
  permissions: [...role.permissions],
  created_at: stored?.created_at ?? null,
})

type Roles = ReadonlyMap<string, RoleSet>
/** A role that is gone has no name any more. */
const placeOf = (row: Place & { role_id: string }, roles: Roles) => ({
  role_id: row.role_id,
  role_name: roles.get(row.role_id)?.name ?? '',
  organization_id: row.organization_id,
  workspace_id: row.workspace_id,
})

export const bindingOf = (row: BindingRow & { user_email: string }, roles: Roles): RoleBinding => ({
  ...placeOf(row, roles),
  id: row.id,
  user_id: row.user_id,
  user_email: row.user_email,
  provider_id: row.provider_id,
  created_at: row.created_at,
})

export const invitationOf = (row: InvitationRow, roles: Roles): Invitation => ({
  ...placeOf(row, roles),
  id: row.id,
  email: row.email,
  name: row.name,
  created_at: row.created_at,
  expires_at: row.expires_at,
})

export const apiKeyOf = (row: ApiKeyRow, roles: Roles): ApiKey => ({
  ...placeOf(row, roles),
  id: row.id,
  name: row.name,
  prefix: row.prefix,
  created_by: { type: row.created_by_type as ApiKey['created_by']['type'], id: row.created_by_id },
  created_at: row.created_at,
  expires_at: row.expires_at,
  last_used_at: row.last_used_at,
})

/** The same role in the same place, whoever gave it. */
export const isSameRole = (a: Place & { role_id: string }, b: Place & { role_id: string }): boolean =>
  a.role_id === b.role_id && a.organization_id === b.organization_id && a.workspace_id === b.workspace_id

// --- Who may give and take ---

export function scopeOf({ organization_id, workspace_id }: Place): Scope {
  if (workspace_id !== null) return { type: 'workspace', workspace_id }
  return organization_id === null ? { type: 'instance' } : { type: 'organization', organization_id }
}

/** The instance's administrators keep every tenant: they may give any role, and what they do is in the audit log. */
export const keepsInstance = (caller: Caller): boolean =>
  caller.grants.some(one => atInstance(one) && one.permissions.has('user:write'))

/** Nobody gives more than they have. Throws FORBIDDEN that names what is missing. */
export function requireMayGive(caller: Caller, permissions: ReadonlySet<Permission>, place: Place): void {
  if (keepsInstance(caller) && place.organization_id !== null) return
  const missing = [...permissions].filter(one => !coversAll(caller.grants, [one], place))
  if (missing.length === 0) return
  throw new ApiError('FORBIDDEN', `This gives more than you may do there yourself: ${missing.join(', ')}`)
}

/** Whether somebody's account may be changed by the caller: by permission in each place of the other, never upwards. */
export function requireNotAbove(
  caller: Caller,
  others: readonly { permissions: ReadonlySet<Permission>; place: Place }[],
): void {
  if (keepsInstance(caller)) {
    const beyond = others.filter(one => one.place.organization_id === null)
    if (beyond.every(one => coversAll(caller.grants, one.permissions, one.place))) return
  } else if (others.every(one => coversAll(caller.grants, one.permissions, one.place))) return
  throw new ApiError(
    'FORBIDDEN',
    'This user may do more than you, or somewhere else too; an owner or an administrator of the instance can do it',
  )
}

/** Which built-in role the place must always have somebody in. */
export const keeperOf = (organization_id: string | null): string =>
  organization_id === null ? ROLE_IDS.instance_admin : ROLE_IDS.owner

/** Throws VALIDATION_ERROR where a role cannot be had. */
export function requireFits(role_id: string, { organization_id }: Place): void {
  const of_instance = role_id === ROLE_IDS.instance_admin
  if (organization_id === null && !of_instance)
    throw invalid('organization_id', 'must name one: only instance_admin is for the instance')
  if (organization_id !== null && of_instance)
    throw invalid('role', 'instance_admin is for the whole instance: organization_id must be null')
}

/** A role of an organization holds nothing that is the instance's. */
export function requireForOrganization(permissions: readonly Permission[]): void {
  const beyond = permissions.filter(one => (INSTANCE_PERMISSIONS as readonly Permission[]).includes(one))
  if (beyond.length > 0) throw invalid('permissions', `${beyond.join(', ')}: only for the instance`)
}

export const invalid = (field: string, message: string): ApiError =>
  new ApiError('VALIDATION_ERROR', `${field} ${message}`, { details: [{ field, message }] })

export const noUser = () => new ApiError('NOT_FOUND', 'There is no such user')
export const noRole = () => new ApiError('NOT_FOUND', 'There is no such role')
export const noBinding = () => new ApiError('NOT_FOUND', 'There is no such role binding')
export const noInvitation = () => new ApiError('NOT_FOUND', 'There is no such invitation')
export const noApiKey = () => new ApiError('NOT_FOUND', 'There is no such API key')
export const badLink = () => new ApiError('LINK_INVALID', 'The link was used, withdrawn, or has ended')
