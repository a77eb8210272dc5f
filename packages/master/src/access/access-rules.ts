import { ApiError, type Permission, ROLES, type RoleName } from '@nxmesh/contract'
import type { Access } from './caller.ts'

const SETS = new Map<string, ReadonlySet<Permission>>(
  Object.entries(ROLES).map(([name, permissions]) => [name, new Set(permissions)]),
)
const NONE: ReadonlySet<Permission> = new Set()

/** What a role permits; an unknown role permits nothing. */
export const permissionsOf = (role: string): ReadonlySet<Permission> => SETS.get(role) ?? NONE

export const OWNER = 'owner' satisfies RoleName

/** The object check of this version: the only role is bound to the whole instance, so every scope asks the same. */
export const access: Access = {
  require(caller, permission, _scope) {
    if (!caller.permissions.has(permission))
      throw new ApiError('FORBIDDEN', `This needs the permission ${permission}`)
  },
}
