import type { TenantContents } from '../tenancy/tenancy.ts'
import {
  countByKind,
  countVersions,
  deleteResources,
  deleteVersions,
  someResources,
} from './contents-store.ts'
import { CONFIG_KINDS } from './kinds/registry.ts'

/** Resources of one transaction, each with statements of its own. */
const RESOURCES_AT_ONCE = 100

/** The configuration of tenants. Nobody reaches it without its workspace, so it goes in steps. */
export const configContents: TenantContents = {
  async count(db, { workspace_ids }) {
    const counts = await countByKind(db, workspace_ids)
    const kinds = Object.values(CONFIG_KINDS).map(({ kind }) => ({
      field: `${kind}s`,
      count: counts.get(kind) ?? 0,
    }))
    return [...kinds, { field: 'versions', count: await countVersions(db, workspace_ids) }]
  },

  async purge(tx, workspace_id, max_rows) {
    const ids = await someResources(tx, workspace_id, Math.min(RESOURCES_AT_ONCE, max_rows))
    const emptied: string[] = []
    let rows = 0
    for (const id of ids) {
      rows += await deleteVersions(tx, id, max_rows - rows)
      // There may be more of this one: it stays until the next step.
      if (rows >= max_rows) break
      emptied.push(id)
    }
    if (emptied.length > 0) await deleteResources(tx, emptied)
    return rows + emptied.length
  },
}
