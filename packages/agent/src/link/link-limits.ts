import { LIMITS } from '@nxmesh/contract/limits'

/** Bounds of the link; tests with their own clock of things pass smaller ones. */
export interface LinkLimits {
  /** From dialling to the greeting. */
  readonly handshake_ms: number
  /** Without any frame of the master for this long the connection is taken for dead. */
  readonly silence_ms: number
  readonly reconnect_min_ms: number
  readonly reconnect_max_ms: number
  /** A connection that lived this long starts the backoff anew. */
  readonly stable_ms: number
  readonly retry_later_max_ms: number
  /** What may wait in the socket before the connection is cut. */
  readonly outbox_bytes: number
  readonly frame_bytes: number
  readonly register_ms: number
  readonly register_answer_bytes: number
  /** The master's own chain has two certificates; a longer one than this is not looked at. */
  readonly presented_certificates: number
}

export const LINK_LIMITS: LinkLimits = {
  handshake_ms: LIMITS.handshake_ms,
  silence_ms: LIMITS.silence_ms,
  reconnect_min_ms: LIMITS.reconnect_min_ms,
  reconnect_max_ms: LIMITS.reconnect_max_ms,
  stable_ms: 5_000,
  retry_later_max_ms: LIMITS.retry_later_max_ms,
  outbox_bytes: 16_777_216,
  frame_bytes: LIMITS.frame_bytes,
  register_ms: 15_000,
  register_answer_bytes: 65_536,
  presented_certificates: 8,
}
