import type { TenantContents } from '../tenancy/tenancy.ts'
import {
  countByKind,
  countVersions,
  deleteResources,
  deleteVersions,
  someResources,
} from './contents-store.ts'
import { CONFIG_KINDS } from './kinds/registry.ts'

/** Resources of one transaction: far below the limits of both engines for parameters. */
const RESOURCES_AT_ONCE = 300

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
    if (ids.length === 0) return 0
    const versions = await deleteVersions(tx, ids, max_rows)
    // Of many versions there may be more: the resources stay until the next step.
    if (versions === max_rows) return versions
    await deleteResources(tx, ids)
    return versions + ids.length
  },
}
