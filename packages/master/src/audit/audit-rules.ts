import { createHash } from 'node:crypto'
import { canonicalJson } from '@nxmesh/contract'
import { MASTER_LIMITS } from '../limits.ts'

/** A row as it is stored, without its hash. */
export interface AuditRow {
  readonly sequence: number
  readonly id: string
  readonly at: string
  readonly principal_type: string
  readonly principal_id: string | null
  readonly action: string
  readonly object_type: string
  readonly object_id: string | null
  readonly organization_id: string | null
  readonly workspace_id: string | null
  readonly door: string
  readonly ip_address: string | null
  readonly result: string
  readonly before_json: string | null
  readonly after_json: string | null
}
export interface ChainedAuditRow extends AuditRow {
  readonly hash: string
}

/** The place in the chain that the next row follows. */
export interface ChainHead {
  readonly sequence: number
  readonly hash: string
}

/** Before the first row. */
export const CHAIN_START: ChainHead = { sequence: 0, hash: '' }

/** SHA-256, hex, over the hash before and the canonical JSON of the row. */
export function chainHash(previous_hash: string, row: AuditRow): string {
  return createHash('sha256').update(previous_hash).update(canonicalJson(row)).digest('hex')
}

export type ChainVerdict =
  | { readonly ok: true; readonly head: ChainHead }
  | { readonly ok: false; readonly sequence: number; readonly reason: 'missing' | 'changed' }

/**
 * Whether rows, in order, continue the chain after `head`. A row that was changed, removed or put in breaks it; rows cut
 * off at the end do not, so keep a head elsewhere and compare.
 */
export function verifyChain(rows: readonly ChainedAuditRow[], head: ChainHead = CHAIN_START): ChainVerdict {
  let at = head
  for (const { hash, ...row } of rows) {
    if (row.sequence !== at.sequence + 1) return { ok: false, sequence: at.sequence + 1, reason: 'missing' }
    if (chainHash(at.hash, row) !== hash) return { ok: false, sequence: row.sequence, reason: 'changed' }
    at = { sequence: row.sequence, hash }
  }
  return { ok: true, head: at }
}

/** JSON of a value to keep; one over the limit is kept as its size and SHA-256. Undefined means: nothing to say. */
export function auditJson(value: unknown): string | null {
  if (value === undefined || value === null) return null
  const json = JSON.stringify(value)
  const bytes = Buffer.byteLength(json)
  if (bytes <= MASTER_LIMITS.audit_value_bytes) return json
  return JSON.stringify({ too_large: true, bytes, sha256: createHash('sha256').update(json).digest('hex') })
}
