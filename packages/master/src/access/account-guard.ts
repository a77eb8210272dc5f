import { ApiError, type Permission } from '@nxmesh/contract'
import type { Queryable } from '../database/database.ts'
import type { Access, Caller } from './caller.ts'
import { grantsIn } from './grants.ts'
import { hasIdentity } from './oidc/has-identity.ts'
import { keepsInstance, noUser, requireNotAbove, scopeOf } from './people-rules.ts'
import { bindingsOf, type Place } from './roles-store.ts'
import { type UserRow, userById } from './users-store.ts'

/** Which accounts somebody may see and change. All throw NOT_FOUND for those of strangers. */
export interface AccountGuard {
  /** Whoever has a role where the caller may read users. */
  visible(db: Queryable, caller: Caller, id: string): Promise<UserRow>
  /** What only those may read who may read users wherever this one has a role: from where somebody comes is no tenant's alone. */
  readable(db: Queryable, caller: Caller, id: string): Promise<UserRow>
  /** Throws FORBIDDEN unless the permission holds wherever the user has a role, and none of these is above the caller. */
  changeable(
    db: Queryable,
    caller: Caller,
    permission: 'user:write' | 'user:delete',
    id: string,
  ): Promise<UserRow>
  /**
   * `changeable`, for a new password. Whoever logs in by an identity provider would not notice another way in, and may rise
   * there at any log-in: only those who keep the instance open one. Throws FORBIDDEN.
   */
  resettable(db: Queryable, caller: Caller, id: string): Promise<UserRow>
}

const INSTANCE: Place = { organization_id: null, workspace_id: null }
/** The other's places that the caller does not see are not told. */
const elsewhere = () =>
  new ApiError('FORBIDDEN', 'This user has roles elsewhere too; an administrator of the instance can do it')

export function makeAccountGuard(access: Access): AccountGuard {
  const requireEverywhere = async (caller: Caller, permission: Permission, bindings: readonly Place[]) => {
    const scopes = bindings.length > 0 ? bindings : [INSTANCE]
    for (const place of scopes) await access.require(caller, permission, scopeOf(place), elsewhere)
  }
  const guard: AccountGuard = {
    async visible(db, caller, id) {
      const row = await userById(db, id)
      if (!row) throw noUser()
      const places: Place[] = await bindingsOf(db, id)
      for (const place of [...places, INSTANCE])
        if (await access.allows(caller, 'user:read', scopeOf(place))) return row
      throw noUser()
    },
    async readable(db, caller, id) {
      const row = await guard.visible(db, caller, id)
      await requireEverywhere(caller, 'user:read', await bindingsOf(db, id))
      return row
    },
    async changeable(db, caller, permission, id) {
      const row = await guard.visible(db, caller, id)
      const bindings = await bindingsOf(db, id)
      await requireEverywhere(caller, permission, bindings)
      const grants = await grantsIn(db, bindings)
      requireNotAbove(
        caller,
        grants.map(one => ({ permissions: one.permissions, place: one })),
      )
      return row
    },
    async resettable(db, caller, id) {
      const row = await guard.changeable(db, caller, 'user:write', id)
      if (keepsInstance(caller) || !(await hasIdentity(db, id))) return row
      throw new ApiError(
        'FORBIDDEN',
        'This user logs in by an identity provider; only an administrator of the instance can open a way in by password',
      )
    },
  }
  return guard
}
