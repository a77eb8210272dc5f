/**
 * Exponential backoff with full jitter: anything between nothing and min × 2^attempt, so that a fleet that lost its
 * master at one instant does not come back at one instant. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, min_ms: number, max_ms: number, random: number): number {
  const ceiling_ms = Math.min(max_ms, min_ms * 2 ** Math.min(attempt, 30))
  return Math.round(random * ceiling_ms)
}

/** A delay that the master asked for, spread a little so that its own rounding makes no crowd. */
export function retryLaterMs(asked_ms: number, max_ms: number, random: number): number {
  const bounded_ms = Math.min(max_ms, Math.max(0, asked_ms))
  return Math.round(bounded_ms * (1 + random * 0.1))
}
