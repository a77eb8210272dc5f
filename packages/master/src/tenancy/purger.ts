import type { Logger } from 'pino'
import type { Database } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { TenantContents } from './tenancy.ts'
import { deleteOrganizationRows, deleteWorkspaceRow, markedWorkspace } from './tenancy-store.ts'

export interface PurgerDeps {
  readonly database: Database
  readonly contents: readonly TenantContents[]
  readonly log: Pick<Logger, 'info' | 'error'>
}

/** Deletes the rows of tenants that were deleted, in small transactions between those of the others. */
export interface Purger {
  /** Looks for something to delete: after a deletion, and after a start, where a master that died has left it. */
  wake(): void
  /** Resolves when nothing is written any more; the next start carries on. */
  stop(): Promise<void>
}

export function makePurger({ database, contents, log }: PurgerDeps): Purger {
  let running: Promise<void> | null = null
  let again = false
  let stopped = false

  /** One small transaction; then as long a rest, so that others have at least half of the writer. */
  const step = async (work: Parameters<typeof database.write<number>>[0]): Promise<number> => {
    const began_ms = performance.now()
    const rows = await database.write(work)
    await new Promise(resolve => setTimeout(resolve, performance.now() - began_ms))
    return rows
  }

  const empty = async (workspace_id: string): Promise<number> => {
    let total = 0
    for (const { purge } of contents) {
      if (!purge) continue
      while (!stopped) {
        const rows = await step(tx => purge(tx, workspace_id, MASTER_LIMITS.purge_rows))
        if (rows === 0) break
        total += rows
      }
    }
    return total
  }

  const all = async () => {
    while (again && !stopped) {
      again = false
      for (;;) {
        const workspace_id = await markedWorkspace(database.read)
        if (workspace_id === undefined) break
        const rows = await empty(workspace_id)
        if (stopped) return
        await database.write(tx => deleteWorkspaceRow(tx, workspace_id))
        log.info({ workspace_id, rows }, 'What was in a deleted workspace is gone')
      }
      await database.write(deleteOrganizationRows)
    }
  }

  const wake = () => {
    again = true
    if (running || stopped) return
    running = all()
      .catch((err: unknown) => {
        log.error({ err }, 'What was in a deleted workspace could not be deleted; it is tried again')
        // Without keeping the process alive.
        if (!stopped) setTimeout(wake, MASTER_LIMITS.purge_retry_ms).unref()
        again = false
      })
      .finally(() => {
        running = null
        if (again) wake()
      })
  }

  return {
    wake,
    async stop() {
      stopped = true
      await running
    },
  }
}
