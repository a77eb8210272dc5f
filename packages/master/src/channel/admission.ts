import { LIMITS } from '@nxmesh/contract'
import { CHANNEL_LIMITS } from './channel-limits.ts'

export interface Admission {
  /** 0: come in. Otherwise the delay after which there is a place, each later one a little later. */
  take(): number
}

export interface AdmissionRate {
  readonly per_s: number
  readonly burst: number
}

/**
 * Admits authenticated agents at a bounded rate. Those turned away get consecutive places behind each other, so that a
 * fleet that lost its master comes back as a stream. `now_ms`: a clock that nobody sets.
 */
export function makeAdmission(
  now_ms: () => number,
  rate: AdmissionRate = {
    per_s: CHANNEL_LIMITS.admissions_per_s,
    burst: CHANNEL_LIMITS.admissions_burst,
  },
): Admission {
  const step_ms = 1_000 / rate.per_s
  let tokens = rate.burst
  let filled_ms = now_ms()
  let last_place_ms = 0
  return {
    take() {
      const now = now_ms()
      tokens = Math.min(rate.burst, tokens + (now - filled_ms) / step_ms)
      filled_ms = now
      if (tokens >= 1) {
        tokens -= 1
        return 0
      }
      last_place_ms = Math.max(last_place_ms, now) + step_ms
      return Math.min(LIMITS.retry_later_max_ms, Math.max(1, Math.ceil(last_place_ms - now)))
    },
  }
}
