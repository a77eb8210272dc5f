import { backoff_ms } from './deployment-rules.ts'
import { type Engine, type Lane, later } from './engine.ts'
import type { PositionRow } from './position-store.ts'
import { isInPlace } from './positions.ts'

export function noteRefusal(lane: Lane, agent_id: string, bundle_hash: string): void {
  const known = lane.refusals.get(agent_id)
  if (known?.bundle_hash === bundle_hash) known.allowed = false
  else lane.refusals.set(agent_id, { bundle_hash, returns: 0, allowed: false, waiting: false })
}

export function refusedBefore(lane: Lane, position: PositionRow, bundle_hash: string): boolean {
  if (lane.refusals.get(position.agent_id)?.bundle_hash === bundle_hash) return true
  return position.last_error !== null && position.desired_bundle_hash === bundle_hash
}

/**
 * An agent that returns may have been mended: a port was freed, a name resolves again. The first return is tried at once, the
 * next ones after a growing while, so that one that comes and goes does not fill the list of deployments.
 */
export function allowAgain(engine: Engine, lane: Lane, agent_id: string): void {
  const position = engine.positions.of(agent_id)
  const { desired_bundle_hash } = position
  // Of a time before a restart only the position knows.
  if (position.last_error !== null && desired_bundle_hash !== null && !isInPlace(position))
    if (!lane.refusals.has(agent_id)) noteRefusal(lane, agent_id, desired_bundle_hash)
  const refusal = lane.refusals.get(agent_id)
  if (!refusal || refusal.waiting) return
  const tries = refusal.returns++
  if (tries === 0) {
    refusal.allowed = true
    return
  }
  refusal.waiting = true
  const { retry_min_ms, retry_max_ms } = engine.times
  later(engine, backoff_ms(tries, retry_min_ms, retry_max_ms, engine.deps.random()), () => {
    refusal.waiting = false
    refusal.allowed = true
    engine.consider(lane, agent_id, 'agent_returned')
  })
}
