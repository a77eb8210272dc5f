import { AuditBrokenError, type ChainBreak, type ChainHead } from './audit/audit-rules.ts'
import { verifyLog } from './audit/audit-verify.ts'
import { loadConfig } from './config.ts'
import type { ConfigSources } from './config-values.ts'
import { openExisting } from './database/open-existing.ts'

/**
 * `nxmesh master audit verify`: reads the whole log, beside a running master, and returns its head as `sequence:hash`. `expect`
 * is a head that was noted before. Throws `AuditBrokenError` naming the first row that is not as it was written.
 */
export async function auditVerify(sources: ConfigSources, expect: ChainHead | null): Promise<string> {
  const config = await loadConfig(sources)
  const db = await openExisting(config.database_url, { to_read: true })
  try {
    const verdict = await verifyLog(db.read, expect)
    if (verdict.ok) return `${verdict.head.sequence}:${verdict.head.hash}`
    throw new AuditBrokenError(
      `The audit log is not as it was written: ${WORDS[verdict.reason](verdict.sequence)}.`,
    )
  } finally {
    await db.close()
  }
}

const WORDS: Record<ChainBreak, (sequence: number) => string> = {
  missing: sequence => `row ${sequence} is missing`,
  changed: sequence => `row ${sequence} was changed`,
  out_of_order: sequence => `row ${sequence} is out of order: another row was written in its place`,
  cut_off: sequence => `rows are cut off at the end, from row ${sequence} on`,
  rewritten: sequence => `row ${sequence} has another hash than --expect says: the log was written anew`,
}
