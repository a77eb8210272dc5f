import { ApiError, LIMITS } from '@nxmesh/contract'
import type { AuditLog } from '../../audit/audit.ts'
import { afterCommit } from '../../database/after-commit.ts'
import type { Tx } from '../../database/database.ts'
import type { Places } from '../access-service.ts'
import type { Authenticator } from '../authenticator.ts'
import type { Caller } from '../caller.ts'
import { rolesBehind } from '../grants.ts'
import type { Keepers } from '../keepers.ts'
import {
  type BindingRow,
  bindingsOf,
  bindingsOfProvider,
  deleteBinding,
  insertBinding,
  rolesById,
} from '../roles-store.ts'
import { isSameRole, mappedRoles, mappingsOf, type StoredMapping } from './provider-rules.ts'
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
  readonly audit: AuditLog
  readonly places: Places
  readonly authenticator: Authenticator
  readonly keepers: Keepers
  readonly now: () => Date
  readonly newId: () => string
}

const eventOf = (action: string, row: BindingRow) => ({
  action: `role_binding.${action}`,
  object_type: 'role_binding',
  object_id: row.id,
  organization_id: row.organization_id,
  workspace_id: row.workspace_id,
})
const publicOf = ({ user_id, role_id, provider_id }: BindingRow) => ({ user_id, role_id, provider_id })

export function makeGroupRoles(deps: GroupRolesDeps): GroupRoles {
  const { audit, places, authenticator, keepers } = deps

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

  const remove = async (tx: Tx, caller: Caller, row: BindingRow) => {
    await deleteBinding(tx, row.id)
    await audit.append(tx, caller, { ...eventOf('delete', row), before: publicOf(row) })
    afterCommit(tx, () => authenticator.forget([row.user_id]))
  }

  const add = async (tx: Tx, caller: Caller, row: BindingRow) => {
    await insertBinding(tx, row)
    await audit.append(tx, caller, { ...eventOf('create', row), after: publicOf(row) })
    afterCommit(tx, () => authenticator.forget([row.user_id]))
  }

  /** A log-in does not fail because its person is the last who keeps something: that role stays, and the log tells. */
  const removeUnlessLast = async (tx: Tx, caller: Caller, row: BindingRow) => {
    try {
      await keepers.requireAnotherThan(tx, { user_id: row.user_id, binding_id: row.id })
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      const after = { ...publicOf(row), reason: 'last_keeper' }
      await audit.append(tx, caller, { ...eventOf('delete', row), result: 'refused', after })
      return
    }
    await remove(tx, caller, row)
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
        const made = {
          id: deps.newId(),
          user_id,
          provider_id: provider.id,
          created_at: deps.now().toISOString(),
        }
        await add(tx, caller, { ...made, role_id, organization_id, workspace_id })
      }
    },

    async end(tx, caller, { provider_id, user_id, stays = () => false }) {
      const rows = await bindingsOfProvider(tx, provider_id)
      const ending = rows.filter(row => (user_id === undefined || row.user_id === user_id) && !stays(row))
      // One after the other, so that the last of several is not missed.
      for (const row of ending) {
        await keepers.requireAnotherThan(tx, { user_id: row.user_id, binding_id: row.id })
        await remove(tx, caller, row)
      }
      return ending.length
    },
  }
}
