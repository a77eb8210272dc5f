import type { Queryable } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { CHAIN_START, type ChainHead, type ChainVerdict, verifyChain } from './audit-rules.ts'
import { auditRowsAfter } from './audit-store.ts'

/**
 * Walks the whole chain; says where it breaks first. With `expect`, a head that was noted before, it also finds that rows are
 * cut off at the end or that the log was written anew.
 */
export async function verifyLog(db: Queryable, expect: ChainHead | null = null): Promise<ChainVerdict> {
  let head = CHAIN_START
  for (;;) {
    const rows = await auditRowsAfter(db, head.sequence, MASTER_LIMITS.audit_verify_page_rows)
    const verdict = verifyChain(rows, head, expect)
    if (!verdict.ok) return verdict
    if (rows.length === 0) break
    head = verdict.head
  }
  if (expect && expect.sequence > head.sequence)
    return { ok: false, sequence: head.sequence + 1, reason: 'cut_off' }
  return { ok: true, head }
}
