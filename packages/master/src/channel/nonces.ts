import { LIMITS } from '@nxmesh/contract'
import { CHANNEL_LIMITS } from './channel-limits.ts'

/**
 * The nonces of accepted upgrades, for as long as their timestamps would be taken again. Only a valid signature gets one in,
 * so nobody can fill it for somebody else. It is empty after a restart: a replayed upgrade alone opens nothing, since
 * each frame needs the session key.
 */
export interface Nonces {
  seen(agent_id: string, nonce: string): boolean
  /** False when there is no room; what is remembered is never dropped before its time. */
  remember(agent_id: string, nonce: string): boolean
}

/** `now_ms`: a clock that nobody sets. */
export function makeNonces(now_ms: () => number): Nonces {
  // In the order of their ends, since all are kept equally long.
  const ends = new Map<string, number>()
  const counts = new Map<string, number>()
  const keyOf = (agent_id: string, nonce: string) => `${agent_id} ${nonce}`

  const forgetExpired = () => {
    const now = now_ms()
    for (const [key, end_ms] of ends) {
      if (end_ms > now) return
      ends.delete(key)
      const agent_id = key.slice(0, key.indexOf(' '))
      const left = (counts.get(agent_id) ?? 1) - 1
      if (left === 0) counts.delete(agent_id)
      else counts.set(agent_id, left)
    }
  }

  return {
    seen(agent_id, nonce) {
      forgetExpired()
      return ends.has(keyOf(agent_id, nonce))
    },
    remember(agent_id, nonce) {
      const count = counts.get(agent_id) ?? 0
      if (count >= CHANNEL_LIMITS.nonces_per_agent || ends.size >= LIMITS.nonces) return false
      ends.set(keyOf(agent_id, nonce), now_ms() + LIMITS.nonce_keep_ms)
      counts.set(agent_id, count + 1)
      return true
    },
  }
}
