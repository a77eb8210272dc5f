import { ApiError, LIMITS } from '@nxmesh/contract'
import type { Tx } from '../../database/database.ts'
import type { Places } from '../access-service.ts'
import type { Caller } from '../caller.ts'
import { rolesBehind } from '../grants.ts'
import type { Keepers } from '../keepers.ts'
import { isSameRole } from '../people-rules.ts'
import type { RoleBinder } from '../role-binder.ts'
import { type BindingRow, bindingsOf, bindingsOfProvider, rolesById } from '../roles-store.ts'
import { mappedRoles, mappingsOf, type StoredMapping } from './provider-rules.ts'
import type { ProviderRow } from './providers-store.ts'

/** The roles that follow the groups of an identity provider. Roles that people gave are never touched. */
export interface GroupRoles {
  /** At a log-in: adds and takes roles until they are those of the groups. */
  follow(
    tx: Tx,
    caller: Caller,
    of: { provider: ProviderRow; user_id: string; groups: readonly string[] },
  ): Promise<void>
  /**
   * Ends roles that came from a provider, of one user or of all, but for those that `stays` keeps; answers how many. Throws
   * CONFLICT where an organization or the instance would be left with nobody who keeps it.
   */
  end(
    tx: Tx,
    caller: Caller,
    of: { provider_id: string; user_id?: string; stays?: (row: BindingRow) => boolean },
  ): Promise<number>
}

export interface GroupRolesDeps {
  readonly places: Places
  readonly binder: RoleBinder
  readonly keepers: Keepers
}

export function makeGroupRoles(deps: GroupRolesDeps): GroupRoles {
  const { places, binder, keepers } = deps

  /** The mapping was good when it was made; its role or its place may be gone since. */
  const isThere = async (
    tx: Tx,
    { role_id, organization_id, workspace_id }: StoredMapping,
  ): Promise<boolean> => {
    if (!(await rolesBehind(tx, [role_id])).has(role_id)) return false
    const [stored] = await rolesById(tx, [role_id])
    if (stored && stored.organization_id !== organization_id) return false
    if (workspace_id !== null)
      return (await places.placeOf(workspace_id))?.organization_id === organization_id
    return organization_id === null || (await places.hasOrganization(organization_id))
  }

  /** A log-in does not fail because its person is the last who keeps something: that role stays, and the log tells. */
  const removeUnlessLast = async (tx: Tx, caller: Caller, row: BindingRow) => {
    try {
      await keepers.requireAnotherThan(tx, { user_id: row.user_id, binding_id: row.id })
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      return await binder.keep(tx, caller, row, 'last_keeper')
    }
    await binder.unbind(tx, caller, row)
  }

  return {
    async follow(tx, caller, { provider, user_id, groups }) {
      const wanted = mappedRoles(mappingsOf(provider), groups)
      const present = await bindingsOf(tx, user_id)
      const followed = present.filter(one => one.provider_id === provider.id)
      for (const row of followed)
        if (!wanted.some(one => isSameRole(one, row))) await removeUnlessLast(tx, caller, row)
      let count = present.length
      for (const one of wanted) {
        if (followed.some(row => isSameRole(one, row)) || !(await isThere(tx, one))) continue
        if (count++ >= LIMITS.bindings_per_user) break
        const { role_id, organization_id, workspace_id } = one
        const place = { organization_id, workspace_id }
        await binder.bind(tx, caller, { ...place, role_id, user_id, provider_id: provider.id })
      }
    },

    async end(tx, caller, { provider_id, user_id, stays = () => false }) {
      const rows = await bindingsOfProvider(tx, provider_id)
      const ending = rows.filter(row => (user_id === undefined || row.user_id === user_id) && !stays(row))
      // One after the other, so that the last of several is not missed.
      for (const row of ending) {
        await keepers.requireAnotherThan(tx, { user_id: row.user_id, binding_id: row.id })
        await binder.unbind(tx, caller, row)
      }
      return ending.length
    },
  }
}
