import type { Queryable, Tx } from '../database/database.ts'
import { CHAIN_START, type ChainedAuditRow, type ChainHead } from './audit-rules.ts'

export interface AuditFilter {
  readonly workspace_id?: string | undefined
  readonly action?: string | undefined
}

export async function chainHead(db: Queryable): Promise<ChainHead> {
  const last = db.selectFrom('audit_log').select(['sequence', 'hash']).orderBy('sequence', 'desc').limit(1)
  return (await last.executeTakeFirst()) ?? CHAIN_START
}

export async function insertAuditRow(tx: Tx, row: ChainedAuditRow): Promise<void> {
  await tx.insertInto('audit_log').values(row).execute()
}

/** Newest first. */
export async function listAuditRows(
  db: Queryable,
  filter: AuditFilter,
  page: { offset: number; limit: number },
): Promise<ChainedAuditRow[]> {
  const query = filtered(db, filter).selectAll().orderBy('sequence', 'desc')
  return await query.offset(page.offset).limit(page.limit).execute()
}

export async function countAuditRows(db: Queryable, filter: AuditFilter): Promise<number> {
  const query = filtered(db, filter).select(({ fn }) => fn.countAll<number>().as('count'))
  return (await query.executeTakeFirstOrThrow()).count
}

/** Oldest first, after the given place in the chain. */
export async function auditRowsAfter(
  db: Queryable,
  sequence: number,
  limit: number,
): Promise<ChainedAuditRow[]> {
  const query = db.selectFrom('audit_log').selectAll().where('sequence', '>', sequence)
  return await query.orderBy('sequence').limit(limit).execute()
}

function filtered(db: Queryable, filter: AuditFilter) {
  let query = db.selectFrom('audit_log')
  if (filter.workspace_id !== undefined) query = query.where('workspace_id', '=', filter.workspace_id)
  if (filter.action !== undefined) query = query.where('action', '=', filter.action)
  return query
}
