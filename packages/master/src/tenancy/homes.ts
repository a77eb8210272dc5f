import type { Queryable } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { organizationOfWorkspace } from './tenancy-store.ts'

/**
 * To which organization a workspace belongs, asked in the caller's transaction. It never changes, so what was once read is
 * remembered, also of workspaces that are gone; null when there is none and none is remembered. Not for deciding who may do
 * something: what is remembered may come from a transaction that was undone.
 */
export function makeHomes(): (db: Queryable, workspace_id: string) => Promise<string | null> {
  const homes = new Map<string, string>()
  return async (db, workspace_id) => {
    const known = homes.get(workspace_id)
    if (known !== undefined) return known
    const found = await organizationOfWorkspace(db, workspace_id)
    if (found === undefined) return null
    homes.set(workspace_id, found)
    const oldest = homes.size > MASTER_LIMITS.workspace_homes_cached ? homes.keys().next() : null
    if (oldest && !oldest.done) homes.delete(oldest.value)
    return found
  }
}
