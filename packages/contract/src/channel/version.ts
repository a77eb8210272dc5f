/**
 * The channel's protocol version: one integer. A master serves agents of this version and of the two before it.
 *
 * 1 (2026-11): hello, facts, two-phase deployment with content-addressed objects, heartbeat, hold.
 * 2 (2026-11): session keys are rotated in-band (key_offer, key_accepted, key_promoted).
 */
export const PROTOCOL_VERSION = 2
/** From this version on an agent takes new session keys over its connection. */
export const KEY_ROTATION_PROTOCOL = 2
export const OLDEST_PROTOCOL_VERSION = 1
