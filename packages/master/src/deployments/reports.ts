import type { AgentMessage, AgentMessageOf, AgentPosition } from '@nxmesh/contract'
import { closeLeftOpen } from './catch-up.ts'
import { answerNeed } from './delivery.ts'
import { findDeployment } from './deployment-store.ts'
import { type Engine, type Lane, stamp } from './engine.ts'
import { isOnHold, report } from './positions.ts'
import { allowAgain, noteRefusal } from './refusals.ts'
import { moveTarget, type Run, type RunTarget, settle } from './run.ts'
import { sendCommit, sendPrepare } from './runner.ts'

/** What agents say, and what follows from it. Called in the order of the frames of one agent. */

export async function connected(
  engine: Engine,
  lane: Lane,
  agent_id: string,
  position: AgentPosition,
): Promise<void> {
  engine.joined.add(agent_id)
  const fresh = engine.positions.of(agent_id).desired_bundle_hash === null
  await takePosition(engine, lane, agent_id, position)
  for (const { run } of engine.active.values()) {
    const target = run.targets.get(agent_id)
    if (target) resumeTarget(engine, run, target, position)
  }
  allowAgain(engine, lane, agent_id)
  engine.consider(lane, agent_id, fresh ? 'agent_joined' : 'agent_returned')
}

/** Everything is at least once: what the agent may have missed is sent again. */
function resumeTarget(engine: Engine, run: Run, target: RunTarget, position: AgentPosition): void {
  if (run.state === 'preparing' && ['pending', 'delivered', 'offline'].includes(target.state))
    sendPrepare(engine, run, target)
  if (run.state !== 'committing' || (target.state !== 'committed' && target.state !== 'loaded')) return
  if (position.deployment_id === run.id && position.bundle_hash === target.bundle_hash) {
    target.tree_hash = position.tree_hash
    serves(engine, run, target)
  } else sendCommit(engine, run, target)
}

export function disconnected(engine: Engine, agent_id: string): void {
  for (const { run } of engine.active.values()) {
    const target = run.targets.get(agent_id)
    if (run.state !== 'preparing' || target?.state !== 'delivered') continue
    moveTarget(run, target, 'offline', stamp(engine))
    engine.recorder.target(run, target)
  }
}

/** What an agent says that it serves is the truth about it. */
async function takePosition(
  engine: Engine,
  lane: Lane,
  agent_id: string,
  said: AgentPosition,
): Promise<void> {
  const row = engine.positions.of(agent_id)
  const held = isOnHold(row)
  if (!report(row, said, stamp(engine))) return
  if (row.serving_release_number === null && said.deployment_id !== null) {
    const served = await findDeployment(engine.deps.db.read, said.deployment_id)
    if (served && row.serving_deployment_id === said.deployment_id)
      row.serving_release_number = served.release_number
  }
  engine.recorder.position(row)
  if (held && !isOnHold(row)) engine.consider(lane, agent_id, 'agent_returned')
}

export async function message(
  engine: Engine,
  lane: Lane,
  agent_id: string,
  said: AgentMessage,
): Promise<void> {
  switch (said.type) {
    case 'heartbeat':
    case 'position_changed':
      return await takePosition(engine, lane, agent_id, said.position)
    case 'need':
      return needs(engine, agent_id, said)
    case 'prepared':
    case 'rejected':
    case 'unable':
    case 'loaded':
    case 'serving':
    case 'failed':
      return step(engine, lane, agent_id, said)
    default:
      return
  }
}

function needs(engine: Engine, agent_id: string, need: AgentMessageOf<'need'>): void {
  const run = engine.active.get(need.deployment_id)?.run
  const target = run?.targets.get(agent_id)
  if (!run || !target) return
  for (const answer of answerNeed(run, target, need, engine.times.prepare_deadline_ms))
    if (!engine.deps.channel.send(agent_id, answer)) return
}

type Step = AgentMessageOf<'prepared' | 'rejected' | 'unable' | 'loaded' | 'serving' | 'failed'>

function step(engine: Engine, lane: Lane, agent_id: string, said: Step): void {
  const run = engine.active.get(said.deployment_id)?.run
  const target = run?.targets.get(agent_id)
  if (!run || !target) {
    late(engine, lane, agent_id, said)
    return
  }
  // An answer to an order that is no longer the one: the next position tells what became of it.
  if (said.epoch !== run.epoch || said.generation !== run.generation) return
  if ('timings_ms' in said) Object.assign(target.timings_ms, said.timings_ms)
  take(engine, lane, run, target, said)
  engine.recorder.target(run, target)
}

function take(engine: Engine, lane: Lane, run: Run, target: RunTarget, said: Step): void {
  const at = stamp(engine)
  switch (said.type) {
    case 'prepared':
      if (said.bundle_hash !== target.bundle_hash) return
      target.tree_hash = said.tree_hash
      moveTarget(run, target, 'prepared', at)
      return
    case 'rejected':
      refuses(engine, lane, run, target, said)
      return
    case 'unable':
      target.error = { message: said.message, file: null, line: null, resource: null }
      moveTarget(run, target, 'unable', at)
      return
    case 'loaded':
      moveTarget(run, target, 'loaded', at)
      return
    case 'serving':
      target.tree_hash = said.tree_hash
      lane.troubles.delete(target.agent_id)
      lane.refusals.delete(target.agent_id)
      serves(engine, run, target)
      return
    case 'failed':
      target.error = said.error
      target.swapped_back = said.swapped_back
      troubled(engine, target.agent_id, said.error.message)
      noteRefusal(lane, target.agent_id, target.bundle_hash)
      moveTarget(run, target, 'failed', at)
  }
}

/**
 * A refusal stops the deployment, unless this agent refuses what it had refused before and what this release does not
 * change: then it holds up nobody.
 */
function refuses(
  engine: Engine,
  lane: Lane,
  run: Run,
  target: RunTarget,
  said: AgentMessageOf<'rejected'>,
): void {
  target.error = said.error
  const named = said.error.resource
  const old = named !== null && !run.news.some(one => one.id === named.id)
  const before = run.stopped_by
  if (!(target.troubled && old)) run.stopped_by ??= target
  if (!moveTarget(run, target, 'rejected', stamp(engine))) run.stopped_by = before
  else {
    troubled(engine, target.agent_id, said.error.message)
    noteRefusal(lane, target.agent_id, target.bundle_hash)
  }
  settle(run)
}

function troubled(engine: Engine, agent_id: string, message: string): void {
  const position = engine.positions.of(agent_id)
  position.last_error = message
  engine.recorder.position(position)
}

/** The agent proved that its new workers serve this very bundle. */
function serves(engine: Engine, run: Run, target: RunTarget): void {
  const at = stamp(engine)
  const position = engine.positions.of(target.agent_id)
  position.serving_deployment_id = run.id
  position.serving_release_number = run.release_number
  position.serving_bundle_hash = target.bundle_hash
  position.serving_tree_hash = target.tree_hash
  position.serving_since = at
  position.epoch = run.epoch
  position.generation = run.generation
  position.last_error = null
  engine.recorder.position(position)
  moveTarget(run, target, 'serving', at)
  engine.recorder.target(run, target)
  closeLeftOpen(engine, run.workspace_id, target.agent_id)
}

/** A report about a deployment that has ended: what it says of the agent still counts. */
function late(engine: Engine, lane: Lane, agent_id: string, said: Step): void {
  if (said.type === 'failed') troubled(engine, agent_id, said.error.message)
  if (said.type === 'serving' || said.type === 'failed') engine.consider(lane, agent_id, 'agent_returned')
}
