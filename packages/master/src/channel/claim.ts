import { LIMITS } from '@nxmesh/contract'
import { SIGNATURE_HEADERS, signatureMatches } from '@nxmesh/contract/channel/signing'
import { OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION } from '@nxmesh/contract/channel/version'

/** What an upgrade request claims, before anything is believed. */
export interface Claim {
  readonly agent_id: string
  readonly key_id: string
  readonly timestamp: string
  readonly nonce: string
  readonly protocol: number
  readonly signature: string
  /** Path with query, as sent. */
  readonly path: string
}

export type RefusalReason =
  | 'malformed'
  | 'protocol_not_served'
  | 'unknown_agent'
  | 'key_not_live'
  | 'stale_timestamp'
  | 'replayed_nonce'
  | 'too_many_nonces'
  | 'bad_signature'
  | 'address_not_allowed'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const NONCE = /^[A-Za-z0-9_-]{22,64}$/
const SIGNATURE = /^[A-Za-z0-9_-]{43}$/
const MILLISECONDS = /^\d{1,15}$/
const PROTOCOL = /^\d{1,6}$/

/** Null when a header is missing or not of its form. */
export function readClaim(headers: Headers, path: string): Claim | null {
  const header = (name: keyof typeof SIGNATURE_HEADERS, form: RegExp) => {
    const value = headers.get(SIGNATURE_HEADERS[name])
    return value !== null && form.test(value) ? value : null
  }
  const agent_id = header('agent', UUID)
  const key_id = header('key_id', UUID)
  const timestamp = header('timestamp', MILLISECONDS)
  const nonce = header('nonce', NONCE)
  const protocol = header('protocol', PROTOCOL)
  const signature = header('signature', SIGNATURE)
  if (!agent_id || !key_id || !timestamp || !nonce || !protocol || !signature) return null
  return { agent_id, key_id, timestamp, nonce, protocol: Number(protocol), signature, path }
}

export const protocolServed = (protocol: number): boolean =>
  protocol >= OLDEST_PROTOCOL_VERSION && protocol <= PROTOCOL_VERSION

export const timestampFresh = (timestamp: string, now_ms: number): boolean =>
  Math.abs(Number(timestamp) - now_ms) <= LIMITS.clock_skew_ms

export const claimSigned = (claim: Claim, session_key: Uint8Array): boolean =>
  signatureMatches(session_key, { method: 'GET', ...claim, body: '' }, claim.signature)
