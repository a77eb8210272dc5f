import { createHash } from 'node:crypto'
import { ApiError, canonicalJson, type Kind, LIMITS, validationError } from '@nxmesh/contract'
import type { ConfigKind } from './kinds/kind.ts'

/** Room for what the planner adds to the data in a bundle's object. */
const OBJECT_HEADROOM_BYTES = 16_384

export type ResourceData = Readonly<Record<string, unknown>>

/** Data as it is stored, with its checksum: SHA-256 of the canonical JSON, hex. */
export interface SealedData {
  readonly data: ResourceData
  readonly json: string
  readonly checksum: string
}

/** Validates the whole of a resource's data. Throws `VALIDATION_ERROR` or `NOT_BUILT_YET` with dotted fields. */
export function validated(kind: ConfigKind, input: unknown): SealedData {
  const parsed = kind.data.safeParse(input)
  if (!parsed.success) throw validationError(parsed.error)
  const json = canonicalJson(parsed.data)
  const longest_bytes = LIMITS.object_bytes - OBJECT_HEADROOM_BYTES
  if (Buffer.byteLength(json) > longest_bytes)
    throw new ApiError('LIMIT_REACHED', `A ${kind.noun} may have at most ${longest_bytes} bytes of JSON.`)
  return { data: parsed.data, json, checksum: checksumOf(json) }
}

export const checksumOf = (canonical_json: string): string =>
  createHash('sha256').update(canonical_json).digest('hex')

/** A patch replaces the fields that it names, whole. */
export function patched(current: ResourceData, patch: ResourceData): ResourceData {
  const named = Object.entries(patch).filter(([, value]) => value !== undefined)
  return { ...current, ...Object.fromEntries(named) }
}

/** `Changed listen_port, locations`: the summary of a change that came without one. */
export function summaryOf(before: ResourceData, after: ResourceData): string {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const changed = fields.filter(field => canonicalJson(before[field]) !== canonicalJson(after[field]))
  return `Changed ${changed.sort().join(', ')}`.slice(0, LIMITS.summary_chars)
}

/** `v3` and `3` are the same version. Null when it cannot be one. */
export function versionNumber(text: string): number | null {
  const number = Number(text.replace(/^v/, ''))
  return Number.isSafeInteger(number) && number >= 1 && number <= 2 ** 31 - 1 ? number : null
}

export interface NamedResource {
  readonly kind: Kind
  readonly id: string
  readonly name: string
}

/** `virtual host "shop" (0192…)`, for messages. */
export const called = (noun: string, name: string, id: string): string =>
  `${noun} ${JSON.stringify(name)} (${id})`
