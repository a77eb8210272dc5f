import { tell } from './changes.ts'
import type { DeliveryAgent } from './engine.ts'
import { type Engine, hasJoined, isOver, type Lane, type Loaded, SYSTEM, stamp } from './engine.ts'
import { insertedRun } from './follow-up.ts'
import { decidedOf } from './lanes.ts'
import { renewOrder } from './orders.ts'
import { type Bundle, plan } from './planner.ts'
import { isOnHold } from './positions.ts'
import { retryAgent } from './queue.ts'
import { refusedBefore } from './refusals.ts'
import { type Run, type Trigger, targetsIn } from './run.ts'
import { deploy } from './runner.ts'
import { resolveLeftOpen } from './target-store.ts'

/** Agents of one delivery of what was missed. */
const AGENTS_AT_ONCE = 1_000

/**
 * Marks an agent to be brought to the newest decided release, if it is not there. Does not hold the workspace's queue. Agents
 * that come in the same moment share a deployment.
 */
export function consider(engine: Engine, lane: Lane, agent_id: string, trigger: Trigger): void {
  if (isOver(engine, lane)) return
  lane.waiting.set(agent_id, trigger)
  if (lane.catching) return
  lane.catching = true
  void catchUp(engine, lane).then(
    () => {
      lane.catching = false
    },
    error => {
      lane.catching = false
      if (lane.closed) return
      engine.deps.onError(`catching up in workspace ${lane.workspace_id}`, error)
      for (const id of lane.waiting.keys()) retryAgent(engine, lane, id)
      lane.waiting.clear()
    },
  )
}

async function catchUp(engine: Engine, lane: Lane): Promise<void> {
  // Those of the same moment go together.
  await Promise.resolve()
  while (lane.waiting.size > 0 && !isOver(engine, lane)) {
    const { trigger, ids } = takeSome(lane)
    const decided = await decidedOf(engine.deps, lane)
    if (!decided) continue
    const agents = await engine.deps.agents.agentsOf(lane.workspace_id)
    if (lane.closed) return
    const missing = whoLacks(
      engine,
      lane,
      decided,
      agents.filter(agent => ids.has(agent.id)),
      trigger,
    )
    if (missing.length > 0) await send(engine, lane, decided, missing, trigger)
  }
}

function takeSome(lane: Lane): { trigger: Trigger; ids: Set<string> } {
  const [first] = lane.waiting
  const trigger = first?.[1] ?? 'agent_returned'
  const ids = new Set<string>()
  for (const [id, why] of lane.waiting) {
    if (why !== trigger || ids.size >= AGENTS_AT_ONCE) continue
    ids.add(id)
    lane.waiting.delete(id)
  }
  return { trigger, ids }
}

/** Synchronous, so that what it finds is true when it returns. */
function whoLacks(
  engine: Engine,
  lane: Lane,
  decided: Loaded,
  agents: readonly DeliveryAgent[],
  trigger: Trigger,
): DeliveryAgent[] {
  const reachable = agents.filter(agent => hasJoined(engine, agent) && canTake(engine, lane, agent.id))
  const { bundle_of } = plan(decided.snapshot, reachable)
  return reachable.filter(agent => {
    const bundle = bundle_of.get(agent.id)
    if (!bundle) return false
    engine.bundles.put(bundle)
    const position = engine.positions.of(agent.id)
    if (position.serving_bundle_hash === bundle.hash) {
      settleInPlace(engine, lane, decided, agent.id, bundle)
      return false
    }
    if (trigger !== 'agent_returned' || !refusedBefore(lane, position, bundle.hash)) return true
    return (lane.refusals.get(agent.id)?.allowed ?? false) || (lane.troubles.get(agent.id) ?? 0) > 0
  })
}

/** Online, not on hold, and not part of a delivery already; the end of that one looks at it again. */
function canTake(engine: Engine, lane: Lane, agent_id: string): boolean {
  if (!engine.deps.channel.isOnline(agent_id) || isOnHold(engine.positions.of(agent_id))) return false
  if (lane.running?.targets.has(agent_id) || lane.catch_ups.has(agent_id)) {
    lane.later.add(agent_id)
    return false
  }
  if (lane.running) lane.later.add(agent_id)
  return true
}

/** It serves this release's bundle already: only the books are brought up to date. */
function settleInPlace(engine: Engine, lane: Lane, decided: Loaded, agent_id: string, bundle: Bundle): void {
  const position = engine.positions.of(agent_id)
  if (position.desired_bundle_hash !== bundle.hash) {
    position.desired_bundle_hash = bundle.hash
    position.desired_release_number = decided.number
    position.last_error = null
    engine.recorder.position(position)
  }
  closeLeftOpen(engine, lane.workspace_id, agent_id)
}

/** What an agent left open in ended deployments is resolved by what it serves now. */
export function closeLeftOpen(engine: Engine, workspace_id: string, agent_id: string): void {
  if (!engine.left_open.delete(agent_id)) return
  const { serving_deployment_id: deployment_id, serving_bundle_hash: bundle_hash } =
    engine.positions.of(agent_id)
  if (bundle_hash === null) return
  const at = stamp(engine)
  engine.recorder.also(async tx => {
    const served = { deployment_id, bundle_hash, at }
    const changed = await resolveLeftOpen(tx, agent_id, served, [...engine.active.keys()])
    for (const id of changed) tell(engine.deps, tx, { id, workspace_id })
  })
}

async function send(
  engine: Engine,
  lane: Lane,
  decided: Loaded,
  agents: readonly DeliveryAgent[],
  trigger: Trigger,
): Promise<void> {
  const run = await insertedRun(
    engine,
    lane,
    { id: decided.release_id, number: decided.number },
    trigger,
    SYSTEM,
  )
  await renewOrder(engine, lane, run)
  if (lane.closed) return
  // A deployment of a change may have taken them in while the row was written.
  const free = agents.filter(agent => canTake(engine, lane, agent.id))
  for (const agent of free) lane.catch_ups.set(agent.id, run)
  void deploy(engine, lane, run, { release: decided, agents: free }).then(() => ended(engine, lane, run))
}

function ended(engine: Engine, lane: Lane, run: Run): void {
  if (lane.closed) return
  for (const [agent_id, active] of lane.catch_ups) if (active === run) lane.catch_ups.delete(agent_id)
  for (const target of targetsIn(run, 'unable')) retryAgent(engine, lane, target.agent_id)
  for (const target of run.targets.values()) {
    const missed = target.state === 'offline' || target.state === 'unknown' || lane.later.has(target.agent_id)
    if (!missed || lane.running) continue
    lane.later.delete(target.agent_id)
    if (engine.deps.channel.isOnline(target.agent_id))
      consider(engine, lane, target.agent_id, 'agent_returned')
  }
}
