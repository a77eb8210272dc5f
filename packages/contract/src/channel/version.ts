/**
 * The channel's protocol version: one integer. A master serves agents of this version and of the two before it.
 *
 * 1 (2026-11): hello, facts, two-phase deployment with content-addressed objects, heartbeat, hold.
 */
export const PROTOCOL_VERSION = 1
export const OLDEST_PROTOCOL_VERSION = 1
