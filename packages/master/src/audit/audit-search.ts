import { setImmediate as letOthersRun } from 'node:timers/promises'
import { ApiError, LIMITS } from '@nxmesh/contract'
import type { Reach } from '../access/caller.ts'
import type { Queryable } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { type AuditFilter, chainHead, matchingSequences } from './audit-store.ts'

/** A piece that took less is followed by a larger one: with an index a few pieces are the whole log. */
const piece_quick_ms = MASTER_LIMITS.audit_search_piece_ms / 4

/**
 * The sequences of the newest rows that are admitted, newest first, at most `LIMITS.audit_rows_counted`. SQLite answers a
 * query before anything else of the process goes on, so the log is looked through in pieces, and others run in between.
 * Throws VALIDATION_ERROR when that takes too long: a part would look like the whole.
 */
export async function searchLog(
  db: Queryable,
  wanted: { filter: AuditFilter; reach: Reach },
  first_piece_rows: number = MASTER_LIMITS.audit_search_piece_rows,
): Promise<number[]> {
  const found: number[] = []
  let own_ms = 0
  let piece_rows = first_piece_rows
  let upto = (await chainHead(db)).sequence
  while (upto > 0) {
    const after = Math.max(0, upto - piece_rows)
    const piece_began_ms = performance.now()
    const limit = LIMITS.audit_rows_counted - found.length
    found.push(...(await matchingSequences(db, wanted, { after, upto, limit })))
    if (found.length >= LIMITS.audit_rows_counted) return found
    const piece_ms = performance.now() - piece_began_ms
    own_ms += piece_ms
    if (own_ms > MASTER_LIMITS.audit_search_ms) throw tooLong(after)
    if (piece_ms < piece_quick_ms) piece_rows *= 2
    else if (piece_ms > MASTER_LIMITS.audit_search_piece_ms)
      piece_rows = Math.max(first_piece_rows, Math.floor(piece_rows / 2))
    upto = after
    await letOthersRun()
  }
  return found
}

function tooLong(sequence: number): ApiError {
  return new ApiError(
    'VALIDATION_ERROR',
    `Looking through the audit log takes too long: row ${sequence} was reached. Narrow the filter`,
    {
      details: [
        {
          field: 'from',
          message: 'a condition on workspace, action, principal, object, address or result makes it quicker',
        },
      ],
    },
  )
}
