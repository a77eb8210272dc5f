import { admits } from '../addresses.ts'
import type { Database } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { cidrsOf } from './tenancy-rules.ts'
import { workspaceById } from './tenancy-store.ts'

/** From where the agents of a workspace may come (`agent_allowed_cidrs`), from memory. */
export interface Origins {
  /** False for a workspace that is gone. */
  admits(workspace_id: string, ip_address: string | null): Promise<boolean>
  /** After the commit of a change, or of a deletion. */
  forget(workspace_id: string): void
}

export function makeOrigins(db: Database): Origins {
  const known = new Map<string, readonly string[] | null>()
  // Raised by every forget: what was read before it is not remembered after it.
  let forgets = 0

  return {
    async admits(workspace_id, ip_address) {
      const present = known.get(workspace_id)
      if (present !== undefined) return admits(present, ip_address)
      const before = forgets
      const row = await workspaceById(db.read, workspace_id)
      if (!row) return false
      const cidrs = cidrsOf(row)
      if (before === forgets) {
        known.set(workspace_id, cidrs)
        const oldest = known.size > MASTER_LIMITS.workspace_places_cached ? known.keys().next() : null
        if (oldest && !oldest.done) known.delete(oldest.value)
      }
      return admits(cidrs, ip_address)
    },
    forget(workspace_id) {
      forgets += 1
      known.delete(workspace_id)
    },
  }
}
