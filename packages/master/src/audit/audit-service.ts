import type { AuditEntry } from '@nxmesh/contract'
import type { Access, Caller } from '../access/caller.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database, Tx } from '../database/database.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { AuditEvent, AuditLog } from './audit.ts'
import {
  type AuditRow,
  auditJson,
  CHAIN_START,
  type ChainedAuditRow,
  type ChainVerdict,
  chainHash,
  verifyChain,
} from './audit-rules.ts'
import {
  type AuditFilter,
  auditRowsAfter,
  chainHead,
  countAuditRows,
  insertAuditRow,
  listAuditRows,
} from './audit-store.ts'

export interface AuditDeps {
  readonly db: Database
  readonly now: () => Date
  readonly newId: () => string
  /** Told of each row once it is durable. */
  readonly appended?: (entry: AuditEntry) => void
}

/** Appending needs only the database; it exists before there is anyone to ask for permission. */
export function makeAuditLog(deps: AuditDeps): AuditLog {
  // Write transactions run one at a time on both engines, so nobody can take the same place in the chain.
  const append = async (tx: Tx, caller: Caller, event: AuditEvent) => {
    const head = await chainHead(tx)
    const row = toRow(deps, head.sequence + 1, caller, event)
    const chained = { ...row, hash: chainHash(head.hash, row) }
    await insertAuditRow(tx, chained)
    const { appended } = deps
    if (appended) afterCommit(tx, () => appended(toEntry(chained)))
  }
  return { append, record: (caller, event) => deps.db.write(tx => append(tx, caller, event)) }
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
  /** Newest first; needs `audit:read`. `total` counts everything that the filter admits. */
  list(caller: Caller, query: AuditFilter & { page: number; per_page: number }): Promise<PageOf<AuditEntry>>
  /** Walks the whole chain; says where it breaks first. */
  verify(): Promise<ChainVerdict>
}

const INSTANCE = { type: 'instance' } as const

export function makeAuditReader(deps: { db: Database; access: Access }): AuditReader {
  return {
    async list(caller, query) {
      const { workspace_id } = query
      // The instance's own readers see also what was told of workspaces that are gone.
      const everywhere = await deps.access.allows(caller, 'audit:read', { type: 'instance' })
      const scope = workspace_id === undefined ? INSTANCE : ({ type: 'workspace', workspace_id } as const)
      if (!everywhere) await deps.access.require(caller, 'audit:read', scope)
      const rows = await listAuditRows(deps.db.read, query, sliceOf(query))
      return { items: rows.map(toEntry), total: await countAuditRows(deps.db.read, query) }
    },
    verify: () => verifyAll(deps.db),
  }
}

async function verifyAll(db: Database): Promise<ChainVerdict> {
  let head = CHAIN_START
  for (;;) {
    const rows = await auditRowsAfter(db.read, head.sequence, MASTER_LIMITS.audit_verify_page_rows)
    const verdict = verifyChain(rows, head)
    if (!verdict.ok || rows.length === 0) return verdict
    head = verdict.head
  }
}

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
