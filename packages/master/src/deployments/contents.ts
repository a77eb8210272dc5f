import { afterCommit } from '../database/after-commit.ts'
import type { TenantContents } from '../tenancy/tenancy.ts'
import { closeLanes } from './close-lanes.ts'
import { abortOpen, countIn, deleteDeployments, deleteOldest, deleteRejected } from './contents-store.ts'
import { type Engine, stamp } from './engine.ts'

/** What runs and ran in tenants. What runs ends with the deletion; the history goes in steps. */
export function deploymentContents(engine: Engine): TenantContents {
  return {
    async count(db, { workspace_ids }) {
      return [
        { field: 'releases', count: await countIn(db, 'releases', workspace_ids) },
        { field: 'deployments', count: await countIn(db, 'deployments', workspace_ids) },
      ]
    },

    async close(tx, { workspace_ids }) {
      const deployment_ids = await abortOpen(tx, workspace_ids, stamp(engine))
      afterCommit(tx, () => closeLanes(engine, workspace_ids, deployment_ids))
    },

    async purge(tx, workspace_id, max_rows) {
      const steps = [
        () => deleteDeployments(tx, workspace_id, max_rows),
        () => deleteOldest(tx, 'release_items', workspace_id, max_rows),
        () => deleteOldest(tx, 'releases', workspace_id, max_rows),
        () => deleteRejected(tx, workspace_id),
      ]
      for (const step of steps) {
        const rows = await step()
        if (rows > 0) return rows
      }
      return 0
    },
  }
}
