import { ApiError, type AuditEntry, LIMITS } from '@nxmesh/contract'
import { seesOrganization } from '../access/access-rules.ts'
import type { Access, Caller, Reach } from '../access/caller.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database, Queryable, Tx } from '../database/database.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { AuditEvent, AuditLog } from './audit.ts'
import {
  type AuditRow,
  auditJson,
  type ChainedAuditRow,
  type ChainVerdict,
  chainHash,
} from './audit-rules.ts'
import { searchLog } from './audit-search.ts'
import {
  type AuditFilter,
  actionsOf,
  auditRows,
  auditRowsDown,
  chainHead,
  insertAuditRow,
  workspaceWasIn,
} from './audit-store.ts'
import { verifyLog } from './audit-verify.ts'

export interface AuditDeps {
  readonly db: Database
  readonly now: () => Date
  readonly newId: () => string
  /** Told of each row once it is durable. */
  readonly appended?: (entry: AuditEntry) => void
  /** Null when there is no such workspace any more. Implemented by tenancy; asked in the row's own transaction. */
  readonly organizationOf: (tx: Tx, workspace_id: string) => Promise<string | null>
}

/** Appending needs only the database; it exists before there is anyone to ask for permission. */
export function makeAuditLog(deps: AuditDeps): AuditLog {
  // Write transactions run one at a time on both engines, so nobody can take the same place in the chain.
  const append = async (tx: Tx, caller: Caller, event: AuditEvent) => {
    const head = await chainHead(tx)
    const row = toRow(deps, head.sequence + 1, caller, {
      ...event,
      organization_id: await organizationIn(deps, tx, event),
    })
    const chained = { ...row, hash: chainHash(head.hash, row) }
    await insertAuditRow(tx, chained)
    const { appended } = deps
    if (appended) afterCommit(tx, () => appended(toEntry(chained)))
  }
  return { append, record: (caller, event) => deps.db.write(tx => append(tx, caller, event)) }
}

/** A row of a workspace is one of its organization as well, whoever writes it. */
async function organizationIn(
  deps: AuditDeps,
  tx: Tx,
  { organization_id, workspace_id }: AuditEvent,
): Promise<string | null> {
  if (organization_id) return organization_id
  return workspace_id ? await deps.organizationOf(tx, workspace_id) : null
}

function toRow(deps: AuditDeps, sequence: number, caller: Caller, event: AuditEvent): AuditRow {
  return {
    sequence,
    id: deps.newId(),
    at: deps.now().toISOString(),
    principal_type: caller.principal.type,
    principal_id: caller.principal.id,
    action: event.action,
    object_type: event.object_type,
    object_id: event.object_id ?? null,
    organization_id: event.organization_id ?? null,
    workspace_id: event.workspace_id ?? null,
    door: caller.door,
    ip_address: caller.ip_address,
    result: event.result ?? 'ok',
    before_json: auditJson(event.before),
    after_json: auditJson(event.after),
  }
}

/** Reading the log, for people. */
export interface AuditReader {
  /**
   * Newest first: the rows of scopes in which the caller has `audit:read`. `total` counts everything that the filter admits,
   * up to `LIMITS.audit_rows_counted` where it cannot be told by the last row's number. Throws NOT_FOUND for a workspace or organization of
   * strangers, FORBIDDEN, VALIDATION_ERROR for a page beyond what is counted.
   */
  list(caller: Caller, query: AuditQuery): Promise<PageOf<AuditEntry>>
  /** Walks the whole chain; says where it breaks first. */
  verify(): Promise<ChainVerdict>
}

/** `action` ends with a dot: everything that begins so. `from` and `to` are RFC 3339. */
export type AuditQuery = Omit<AuditFilter, 'actions'> & {
  action?: string | undefined
  page: number
  per_page: number
}

export function makeAuditReader(deps: { db: Database; access: Access }): AuditReader {
  const { read } = deps.db
  return {
    async list(caller, query) {
      const { page, per_page, action, ...asked } = query
      const slice = sliceOf({ page, per_page })
      const reach = await reachOf(deps, caller, asked)
      const filter = {
        ...asked,
        from: asStored(asked.from),
        to: asStored(asked.to),
        actions: await actionsNamed(read, action),
      }
      if (reach.everything && Object.values(filter).every(value => value === undefined))
        return await wholeLog(read, slice)
      if (filter.actions?.length === 0) return { items: [], total: 0 }
      if (slice.offset >= LIMITS.audit_rows_counted) throw tooFar()
      const found = await searchLog(read, { filter, reach })
      const rows = await auditRows(read, found.slice(slice.offset, slice.offset + slice.limit))
      return { items: rows.map(toEntry), total: found.length }
    },
    verify: () => verifyLog(read),
  }
}

/** The number of the last row is the count, and a page is found by its numbers, however far back it lies. */
async function wholeLog(db: Queryable, { offset, limit }: { offset: number; limit: number }) {
  const { sequence } = await chainHead(db)
  const rows = sequence > offset ? await auditRowsDown(db, sequence - offset, limit) : []
  return { items: rows.map(toEntry), total: sequence }
}

async function reachOf(
  { db, access }: { db: Database; access: Access },
  caller: Caller,
  { workspace_id, organization_id }: AuditFilter,
): Promise<Reach> {
  const reach = await access.reach(caller, 'audit:read')
  // The instance's own readers see also what was told of workspaces and organizations that are gone.
  if (reach.everything) return reach
  if (reach.organization_ids.length + reach.workspace_ids.length === 0)
    await access.require(caller, 'audit:read', { type: 'instance' })
  if (organization_id !== undefined && !seesOrganization(caller.grants, organization_id))
    await access.require(caller, 'audit:read', { type: 'organization', organization_id })
  // An organization's readers see what was told of its workspaces that are gone.
  if (workspace_id !== undefined && !(await workspaceWasIn(db.read, workspace_id, reach.organization_ids)))
    await access.require(caller, 'audit:read', { type: 'workspace', workspace_id })
  return reach
}

async function actionsNamed(db: Queryable, action: string | undefined) {
  if (!action?.endsWith('.')) return action === undefined ? undefined : [action]
  return await actionsOf(db, action, MASTER_LIMITS.audit_actions_per_noun)
}

/** A time as rows hold it. */
const asStored = (time: string | undefined) => (time === undefined ? undefined : new Date(time).toISOString())

const tooFar = () =>
  new ApiError(
    'VALIDATION_ERROR',
    `A filtered list of the audit log ends after ${LIMITS.audit_rows_counted} rows`,
    { details: [{ field: 'page', message: 'older rows are reached with `to`' }] },
  )

function toEntry(row: ChainedAuditRow): AuditEntry {
  const { principal_type, principal_id, before_json, after_json, ...same } = row
  return {
    ...same,
    principal: { type: principal_type as AuditEntry['principal']['type'], id: principal_id },
    door: row.door as AuditEntry['door'],
    result: row.result as AuditEntry['result'],
    before: before_json === null ? null : JSON.parse(before_json),
    after: after_json === null ? null : JSON.parse(after_json),
  }
}
