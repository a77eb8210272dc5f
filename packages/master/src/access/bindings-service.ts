import { ApiError, LIMITS, ROLE_IDS, type RoleBinding } from '@nxmesh/contract'
import type { Database, Tx } from '../database/database.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import type { Places } from './access-service.ts'
import type { Access, Caller } from './caller.ts'
import { rolesBehind } from './grants.ts'
import type { Keepers } from './keepers.ts'
import { bindingOf, isSameRole, noBinding, noUser, requireMayGive, scopeOf } from './people-rules.ts'
import { type PlaceQuery, reachFor } from './reach-for.ts'
import type { RoleBinder } from './role-binder.ts'
import { requireGivable, type Wanted } from './role-places.ts'
import { bindingById, bindingsOf, countBindings, listBindings } from './roles-store.ts'
import { type UserRow, userById } from './users-store.ts'

/** Who has which role where. */
export interface Bindings {
  list(caller: Caller, query: PlaceQuery & { user_id?: string | undefined }): Promise<PageOf<RoleBinding>>
  create(caller: Caller, input: Wanted & { user_id: string }): Promise<RoleBinding>
  /** It ends at once. Throws CONFLICT for the last owner of an organization. */
  remove(caller: Caller, id: string): Promise<void>
  /** Whoever makes an organization owns it. For keys nothing: those who keep the instance give the role. */
  own(tx: Tx, caller: Caller, organization_id: string): Promise<void>
}

export interface BindingsDeps {
  readonly database: Database
  readonly access: Access
  readonly places: Places
  readonly binder: RoleBinder
  readonly keepers: Keepers
}

export function makeBindings(deps: BindingsDeps): Bindings {
  const { database, access, binder } = deps

  /** A user of another organization looks like none; those who keep the instance see everybody. */
  const userFor = async (tx: Tx, caller: Caller, input: Wanted & { user_id: string }): Promise<UserRow> => {
    const row = await userById(tx, input.user_id)
    if (!row) throw noUser()
    if (await access.allows(caller, 'user:read', { type: 'instance' })) return row
    const present = await bindingsOf(tx, row.id)
    if (present.some(one => one.organization_id === input.organization_id)) return row
    throw noUser()
  }

  return {
    async list(caller, query) {
      const reach = await reachFor(access, caller, 'user:read', query)
      const filter = { reach, user_id: query.user_id }
      const rows = await listBindings(database.read, filter, sliceOf(query))
      const roles = await rolesBehind(
        database.read,
        rows.map(row => row.role_id),
      )
      return {
        items: rows.map(row => bindingOf(row, roles)),
        total: await countBindings(database.read, filter),
      }
    },

    async create(caller, input) {
      return await database.write(async tx => {
        const role = await requireGivable(deps, tx, caller, 'user:write', input)
        const user = await userFor(tx, caller, input)
        const { organization_id, workspace_id } = input
        const wanted = { role_id: role.role_id, organization_id, workspace_id }
        const present = await bindingsOf(tx, user.id)
        if (present.some(one => one.provider_id === null && isSameRole(one, wanted)))
          throw new ApiError('CONFLICT', `The user has the role ${role.name} there already`)
        if (present.length >= LIMITS.bindings_per_user)
          throw new ApiError('LIMIT_REACHED', `A user has at most ${LIMITS.bindings_per_user} roles`)
        const row = await binder.bind(tx, caller, { ...wanted, user_id: user.id, provider_id: null })
        return bindingOf({ ...row, user_email: user.email }, new Map([[role.role_id, role]]))
      })
    },

    async remove(caller, id) {
      await database.write(async tx => {
        const row = await bindingById(tx, id)
        if (!row) throw noBinding()
        await access.require(caller, 'user:write', scopeOf(row), noBinding)
        const role = (await rolesBehind(tx, [row.role_id])).get(row.role_id)
        // An administrator does not unseat an owner.
        if (role) requireMayGive(caller, role.permissions, row)
        if (row.provider_id !== null)
          throw new ApiError(
            'CONFLICT',
            'This role follows a group of the identity provider: change it there',
          )
        await deps.keepers.requireAnotherThan(tx, { user_id: row.user_id, binding_id: id })
        await binder.unbind(tx, caller, row)
      })
    },

    async own(tx, caller, organization_id) {
      const { type, id } = caller.principal
      if (type !== 'user' || id === null) return
      const owner = { role_id: ROLE_IDS.owner, organization_id, workspace_id: null }
      await binder.bind(tx, caller, { ...owner, user_id: id, provider_id: null })
    },
  }
}
