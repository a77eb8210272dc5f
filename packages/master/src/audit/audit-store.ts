import type { Reach } from '../access/caller.ts'
import { inReach } from '../access/reach-query.ts'
import type { Queryable, Tx } from '../database/database.ts'
import { CHAIN_START, type ChainedAuditRow, type ChainHead } from './audit-rules.ts'

/** Conditions that all hold for a row that is shown. */
export interface AuditFilter {
  readonly workspace_id?: string | undefined
  readonly organization_id?: string | undefined
  readonly actions?: readonly string[] | undefined
  readonly principal_type?: string | undefined
  readonly principal_id?: string | undefined
  readonly object_type?: string | undefined
  readonly object_id?: string | undefined
  readonly door?: string | undefined
  readonly result?: string | undefined
  readonly ip_address?: string | undefined
  /** As rows hold it: UTC with milliseconds; inclusive. */
  readonly from?: string | undefined
  /** Exclusive. */
  readonly to?: string | undefined
}

export async function chainHead(db: Queryable): Promise<ChainHead> {
  const last = db.selectFrom('audit_log').select(['sequence', 'hash']).orderBy('sequence', 'desc').limit(1)
  return (await last.executeTakeFirst()) ?? CHAIN_START
}

export async function insertAuditRow(tx: Tx, row: ChainedAuditRow): Promise<void> {
  await tx.insertInto('audit_log').values(row).execute()
}

/** The rows from `sequence` down, newest first; the log has no gaps, so this is a page of the whole log. */
export async function auditRowsDown(
  db: Queryable,
  sequence: number,
  limit: number,
): Promise<ChainedAuditRow[]> {
  const query = db.selectFrom('audit_log').selectAll().where('sequence', '<=', sequence)
  return await query.orderBy('sequence', 'desc').limit(limit).execute()
}

/** Newest first. */
export async function auditRows(db: Queryable, sequences: readonly number[]): Promise<ChainedAuditRow[]> {
  if (sequences.length === 0) return []
  const query = db
    .selectFrom('audit_log')
    .selectAll()
    .where('sequence', 'in', [...sequences])
  return await query.orderBy('sequence', 'desc').execute()
}

/** Which rows after `after`, up to and with `upto`, are admitted, newest first. Looks at no other rows. */
export async function matchingSequences(
  db: Queryable,
  { filter, reach }: { filter: AuditFilter; reach: Reach },
  { after, upto, limit }: { after: number; upto: number; limit: number },
): Promise<number[]> {
  const query = filtered(db, filter, reach)
    .select('sequence')
    .where('sequence', '>', after)
    .where('sequence', '<=', upto)
  const rows = await query.orderBy('sequence', 'desc').limit(limit).execute()
  return rows.map(row => row.sequence)
}

/** Whether there is a row of a workspace in one of these organizations. */
export async function workspaceWasIn(
  db: Queryable,
  workspace_id: string,
  organization_ids: readonly string[],
): Promise<boolean> {
  if (organization_ids.length === 0) return false
  const query = db
    .selectFrom('audit_log')
    .select('sequence')
    .where('workspace_id', '=', workspace_id)
    .where('organization_id', 'in', [...organization_ids])
  return (await query.limit(1).executeTakeFirst()) !== undefined
}

/**
 * The actions of the log that begin with `noun.`, at most `limit`: one step of the index for each, however many rows there are.
 */
export async function actionsOf(db: Queryable, noun: string, limit: number): Promise<string[]> {
  const found: string[] = []
  while (found.length < limit) {
    // All that begins so: `/` is the byte after the dot, and both engines compare bytes.
    const next = db
      .selectFrom('audit_log')
      .select('action')
      .where('action', '>', found.at(-1) ?? noun)
      .where('action', '<', `${noun.slice(0, -1)}/`)
    const row = await next.orderBy('action').limit(1).executeTakeFirst()
    if (!row) break
    found.push(row.action)
  }
  return found
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

const EXACT = [
  'workspace_id',
  'organization_id',
  'principal_type',
  'principal_id',
  'object_type',
  'object_id',
  'door',
  'result',
  'ip_address',
] as const satisfies readonly (keyof AuditFilter)[]

function filtered(db: Queryable, filter: AuditFilter, reach: Reach) {
  let query = db.selectFrom('audit_log').where(inReach(reach))
  for (const column of EXACT) {
    const value = filter[column]
    if (value !== undefined) query = query.where(column, '=', value)
  }
  const { actions, from, to } = filter
  if (actions !== undefined) query = query.where('action', 'in', [...actions])
  if (from !== undefined) query = query.where('at', '>=', from)
  if (to !== undefined) query = query.where('at', '<', to)
  return query
}
