import { setImmediate as letOthersRun } from 'node:timers/promises'
import { ApiError, LIMITS } from '@nxmesh/contract'
import type { Queryable } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { type AuditFilter, type AuditScope, chainHead, matchingSequences } from './audit-store.ts'

/**
 * The sequences of the newest rows that are admitted, newest first, at most `LIMITS.audit_rows_counted`. SQLite answers a
 * query before anything else of the process goes on, so the log is looked through in pieces, and others run in between.
 * Throws VALIDATION_ERROR when that takes too long: a part would look like the whole.
 */
export async function searchLog(
  db: Queryable,
  wanted: { filter: AuditFilter; scope: AuditScope },
  piece_rows: number = MASTER_LIMITS.audit_search_piece_rows,
): Promise<number[]> {
  const found: number[] = []
  const began_ms = performance.now()
  let upto = (await chainHead(db)).sequence
  while (upto > 0) {
    const after = Math.max(0, upto - piece_rows)
    const limit = LIMITS.audit_rows_counted - found.length
    found.push(...(await matchingSequences(db, wanted, { after, upto, limit })))
    if (found.length >= LIMITS.audit_rows_counted) return found
    if (performance.now() - began_ms > MASTER_LIMITS.audit_search_ms) throw tooLong(after)
    upto = after
    await letOthersRun()
  }
  return found
}

function tooLong(sequence: number): ApiError {
  return new ApiError(
    'VALIDATION_ERROR',
    `Looking through the audit log takes too long: row ${sequence} was reached. Narrow the filter`,
    { details: [{ field: 'action', message: 'one more condition, or a workspace, makes it quicker' }] },
  )
}
