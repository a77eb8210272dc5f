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

/** Newest first. The log has no gaps, so without a filter a page is found by its numbers, however far back it lies. */
export async function listAuditRows(
  db: Queryable,
  filter: AuditFilter,
  page: { offset: number; limit: number },
): Promise<ChainedAuditRow[]> {
  const query = filtered(db, filter).selectAll().orderBy('sequence', 'desc').limit(page.limit)
  if (isFiltered(filter)) return await query.offset(page.offset).execute()
  const { sequence } = await chainHead(db)
  return await query.where('sequence', '<=', sequence - page.offset).execute()
}

/** Without a filter it is the number of the last row: counting a log of years would hold everyone else up. */
export async function countAuditRows(db: Queryable, filter: AuditFilter): Promise<number> {
  if (!isFiltered(filter)) return (await chainHead(db)).sequence
  const query = filtered(db, filter).select(({ fn }) => fn.countAll<number>().as('count'))
  return (await query.executeTakeFirstOrThrow()).count
}

const isFiltered = ({ workspace_id, action }: AuditFilter) =>
  workspace_id !== undefined || action !== undefined

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
