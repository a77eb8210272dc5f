import { createHash } from 'node:crypto'
import { canonicalJson } from '@nxmesh/contract'
import { MASTER_LIMITS } from '../limits.ts'
import { maskSecrets } from './mask-secrets.ts'

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

/** The log is not as it was written; the message names the first row that is not. */
export class AuditBrokenError extends Error {
  override readonly name = 'AuditBrokenError'
}

export type ChainBreak = 'missing' | 'changed' | 'out_of_order' | 'cut_off' | 'rewritten'

export type ChainVerdict =
  | { readonly ok: true; readonly head: ChainHead }
  | { readonly ok: false; readonly sequence: number; readonly reason: ChainBreak }

/**
 * Whether rows, in order, continue the chain after `head`. A row that was changed, moved, removed or put in breaks it; rows
 * cut off at the end do not, so keep a head elsewhere and compare (`expect`). `out_of_order` is told where the row's right
 * place is among these rows, else `changed`.
 */
export function verifyChain(
  rows: readonly ChainedAuditRow[],
  head: ChainHead = CHAIN_START,
  expect: ChainHead | null = null,
): ChainVerdict {
  let at = head
  for (const stored of rows) {
    const { hash, ...row } = stored
    if (row.sequence !== at.sequence + 1) return { ok: false, sequence: at.sequence + 1, reason: 'missing' }
    if (chainHash(at.hash, row) !== hash)
      return {
        ok: false,
        sequence: row.sequence,
        reason: belongsElsewhere(stored, rows) ? 'out_of_order' : 'changed',
      }
    at = { sequence: row.sequence, hash }
    if (expect?.sequence === at.sequence && expect.hash !== hash)
      return { ok: false, sequence: at.sequence, reason: 'rewritten' }
  }
  return { ok: true, head: at }
}

/** Whether a row is whole, but follows another one than the row before it. The other may itself have been moved by one. */
function belongsElsewhere({ hash, ...row }: ChainedAuditRow, rows: readonly ChainedAuditRow[]): boolean {
  return [CHAIN_START, ...rows].some(before =>
    [before.sequence, before.sequence + 1].some(
      sequence => sequence !== row.sequence && chainHash(before.hash, { ...row, sequence }) === hash,
    ),
  )
}

/** `sequence:hash`, as `audit verify` prints it; null when it is not that. */
export function parseHead(text: string): ChainHead | null {
  const [, digits, hash = ''] = /^(\d{1,10}):([0-9a-f]{64})?$/.exec(text) ?? []
  const sequence = Number(digits)
  return digits === undefined || (hash === '') !== (sequence === 0) ? null : { sequence, hash }
}

/** JSON of a value to keep, with its secrets masked; one over the limit is kept as its size and SHA-256. Undefined means: nothing to say. */
export function auditJson(value: unknown): string | null {
  if (value === undefined || value === null) return null
  const json = JSON.stringify(maskSecrets(value))
  const bytes = Buffer.byteLength(json)
  if (bytes <= MASTER_LIMITS.audit_value_bytes) return json
  return JSON.stringify({ too_large: true, bytes, sha256: createHash('sha256').update(json).digest('hex') })
}
