import { LIMITS } from '@nxmesh/contract'
import { makePacker, orderOf } from './delivery.ts'
import { backoff_ms, endOf, outcomeOf } from './deployment-rules.ts'
import { pruneDeployments } from './deployment-store.ts'
import { type DeliveryAgent, type Engine, hasJoined, type Lane, type Loaded, later, stamp } from './engine.ts'
import { bringOn, requeue } from './follow-up.ts'
import type { PlannedHost } from './planned.ts'
import { type Bundle, plan } from './planner.ts'
import { isOnHold } from './positions.ts'
import {
  addTarget,
  count,
  moveRun,
  moveTarget,
  newTarget,
  type Run,
  type RunTarget,
  settle,
  settled,
  targetsIn,
} from './run.ts'

/** What a deployment is about to bring: a release, and the agents that may become its targets. */
export interface Freight {
  readonly release: Loaded
  readonly agents: readonly DeliveryAgent[]
}

const PRUNE_EVERY = 64

/**
 * The story of one deployment, from its plan to its end. Never throws. Nothing live is touched before the decision is
 * durable; after it everyone who prepared is told to commit.
 */
export async function deploy(engine: Engine, lane: Lane, run: Run, freight: Freight): Promise<void> {
  engine.active.set(run.id, { run, lane })
  try {
    begin(engine, lane, run, freight)
    deliver(engine, run)
    await settled(run, run.prepare_deadline_ms || engine.times.prepare_deadline_ms)
    // Taken over by a newer deployment, or deleted: whoever did it has written its end.
    if (run.state === 'superseded' || run.discarded) return
    const outcome = outcomeOf(state => count(run, state), run.asked, run.stopped_by !== null)
    if (outcome === 'reject') return await reject(engine, lane, run)
    if (outcome === 'abort') return await abort(engine, lane, run)
    await decide(engine, lane, run, freight.release)
    await see(engine, lane, run)
  } catch (error) {
    if (run.discarded) return
    engine.deps.onError(`deployment ${run.id}`, error)
    await giveUp(engine, run)
  } finally {
    engine.active.delete(run.id)
  }
}

/** Fixes the targets: agents that shall serve something else from now on. */
function begin(engine: Engine, lane: Lane, run: Run, { release, agents }: Freight): void {
  const joined = agents.filter(agent => hasJoined(engine, agent))
  const { bundle_of, bundles, left_out } = plan(release.snapshot, joined)
  run.reason = leftOutReason(left_out)
  for (const bundle of bundles) engine.bundles.put(bundle)
  run.snapshot = release.snapshot
  run.started_at = stamp(engine)
  moveRun(run, 'preparing')
  lane.highest_generation = Math.max(lane.highest_generation ?? 0, run.generation)
  for (const agent of joined) {
    const bundle = bundle_of.get(agent.id)
    const position = engine.positions.of(agent.id)
    if (!bundle || (run.trigger === 'change' && position.desired_bundle_hash === bundle.hash)) continue
    if (position.serving_bundle_hash === bundle.hash) {
      run.in_place.set(agent.id, bundle.hash)
      continue
    }
    const troubled =
      position.last_error !== null && position.desired_bundle_hash !== position.serving_bundle_hash
    addTarget(run, newTarget(agent, bundle, troubled))
    if (run.trigger === 'change') takeOver(engine, lane, run, agent.id)
  }
  engine.recorder.run(run)
}

const LEFT_OUT_NAMED = 10

function leftOutReason(hosts: readonly PlannedHost[]): string | null {
  if (hosts.length === 0) return null
  const names = hosts.slice(0, LEFT_OUT_NAMED).map(one => `${JSON.stringify(one.data.name)} (${one.id})`)
  const more = hosts.length > names.length ? ` and ${hosts.length - names.length} more` : ''
  return `Left out, since the release lacks an upstream that they point to: ${names.join(', ')}${more}.`
}

/** A newer deployment takes an agent out of the delivery of what it missed, unless that is decided already. */
function takeOver(engine: Engine, lane: Lane, run: Run, agent_id: string): void {
  const older = lane.catch_ups.get(agent_id)
  const target = older?.targets.get(agent_id)
  if (older?.state !== 'preparing' || !target) return
  const last = targetsIn(older, 'pending', 'delivered', 'prepared', 'offline').every(one => one === target)
  if (last) {
    moveRun(older, 'superseded')
    Object.assign(older, {
      followed_by: run.id,
      finished_at: stamp(engine),
      reason: 'A newer deployment took over.',
    })
    engine.recorder.run(older)
  }
  moveTarget(older, target, 'superseded', stamp(engine))
  engine.recorder.target(older, target)
  if (last) void engine.recorder.flushed().then(() => engine.ended(older.id))
  settle(older)
}

/** Phase one: what each online target lacks. Targets that cannot be reached catch up later. */
function deliver(engine: Engine, run: Run): void {
  const pack = makePacker(run, engine.times.prepare_deadline_ms)
  for (const target of run.targets.values()) sendPrepare(engine, run, target, pack)
  run.asked = count(run, 'delivered')
}

/** Also sent again, to an agent that came back while phase one runs. */
export function sendPrepare(
  engine: Engine,
  run: Run,
  target: RunTarget,
  pack = makePacker(run, engine.times.prepare_deadline_ms),
): void {
  const { channel } = engine.deps
  const position = engine.positions.of(target.agent_id)
  const reach = target.bundle !== null && channel.isOnline(target.agent_id) && !isOnHold(position)
  moveTarget(run, target, reach && sent(target.bundle) ? 'delivered' : 'offline', stamp(engine))
  engine.recorder.target(run, target)

  function sent(bundle: Bundle): boolean {
    const base = engine.bundles.get(position.serving_bundle_hash)
    const parcel = pack(base, position.serving_bundle_hash === null, bundle)
    run.prepare_deadline_ms = Math.max(run.prepare_deadline_ms, parcel.prepare.deadline_ms)
    return [parcel.prepare, ...parcel.objects].every(message => channel.send(target.agent_id, message))
  }
}

/** The decision: durable, with what every agent shall serve, before the first commit is sent. */
async function decide(engine: Engine, lane: Lane, run: Run, release: Loaded): Promise<void> {
  const at = stamp(engine)
  run.decided_at = at
  moveRun(run, 'committing')
  for (const target of targetsIn(run, 'prepared')) moveTarget(run, target, 'committed', at)
  for (const target of run.targets.values()) {
    if (target.state === 'superseded' || target.state === 'rejected') continue
    target.steps.desired_at = at
    desire(engine, run, target.agent_id, target.bundle_hash)
    engine.recorder.target(run, target)
  }
  for (const [agent_id, hash] of run.in_place) desire(engine, run, agent_id, hash)
  if (run.trigger === 'change') lane.decided = Promise.resolve(release)
  engine.recorder.run(run)
  await engine.recorder.flushed()
  if (run.discarded) return
  for (const target of targetsIn(run, 'committed')) sendCommit(engine, run, target)
}

function desire(engine: Engine, run: Run, agent_id: string, bundle_hash: string): void {
  const position = engine.positions.of(agent_id)
  position.desired_deployment_id = run.id
  position.desired_release_number = run.release_number
  position.desired_epoch = run.epoch
  position.desired_generation = run.generation
  position.desired_bundle_hash = bundle_hash
  if (position.serving_bundle_hash === bundle_hash) position.last_error = null
  engine.recorder.position(position)
}

/** Also sent again, to an agent that came back before it had reported. */
export function sendCommit(engine: Engine, run: Run, target: RunTarget): void {
  engine.deps.channel.send(target.agent_id, {
    type: 'commit',
    ...orderOf(run),
    bundle_hash: target.bundle_hash,
  })
}

/** After the decision, and after a restart: waits for the proofs, then ends by what was proved. */
export async function see(engine: Engine, lane: Lane, run: Run): Promise<void> {
  await settled(run, engine.times.commit_deadline_ms)
  if (run.discarded) return
  for (const target of targetsIn(run, 'committed', 'loaded')) {
    moveTarget(run, target, 'unknown', stamp(engine))
    engine.recorder.target(run, target)
  }
  const { state, reason } = endOf(one => count(run, one))
  // What is left out was said at the beginning.
  run.reason = [run.reason, reason ?? emptyReason(run)].filter(one => one !== null).join(' ') || null
  const failed = targetsIn(run, 'failed')[0] ?? targetsIn(run, 'rejected')[0]
  if (failed) await bringOn(engine, lane, run, failed)
  moveRun(run, state)
  await finish(engine, lane, run)
}

const emptyReason = (run: Run) =>
  run.targets.size === 0 ? 'Nothing changes for any agent that has joined.' : null

async function reject(engine: Engine, lane: Lane, run: Run): Promise<void> {
  const refused_by = run.stopped_by
  tellAbort(engine, run, 'Another agent refused it; nothing changes.')
  if (refused_by) {
    run.reason = `${refused_by.agent_name} refused it: ${refused_by.error?.message ?? 'no reason given'}`
    await bringOn(engine, lane, run, refused_by)
  }
  moveRun(run, 'rejected')
  await finish(engine, lane, run)
}

/** Nobody could prepare: nothing was proved and nothing is decided. It is tried again, each time after a longer while. */
async function abort(engine: Engine, lane: Lane, run: Run): Promise<void> {
  tellAbort(engine, run, 'No agent could prepare it.')
  run.reason = reasonOfAbort(run)
  moveRun(run, 'aborted')
  await finish(engine, lane, run)
  if (run.trigger !== 'change') return
  const { retry_min_ms, retry_max_ms } = engine.times
  const delay_ms = backoff_ms(lane.attempts++, retry_min_ms, retry_max_ms, engine.deps.random())
  // Only now, so that the record of this end cannot write over the name of its follower.
  lane.retry = later(engine, delay_ms, () => void requeue(engine, lane, run))
}

function reasonOfAbort(run: Run): string {
  const cause = targetsIn(run, 'unable', 'rejected')[0]?.error?.message ?? 'no answer in time'
  const again =
    run.trigger !== 'change' && count(run, 'rejected') > 0
      ? 'What is served stays; it is tried again when the agent returns, and with the next change'
      : 'it is tried again'
  return `No online agent could prepare it (${cause}); ${again}.`
}

/** Drops what was prepared. Whoever had not answered by the deadline was unable to. */
function tellAbort(engine: Engine, run: Run, reason: string): void {
  for (const target of targetsIn(run, 'delivered', 'prepared', 'offline')) {
    if (target.state !== 'offline')
      engine.deps.channel.send(target.agent_id, { type: 'abort', ...orderOf(run), reason })
    if (target.state === 'delivered' && run.stopped_by === null) unableInTime(engine, run, target)
  }
}

function unableInTime(engine: Engine, run: Run, target: RunTarget): void {
  const seconds = run.prepare_deadline_ms / 1_000
  target.error = { message: `It did not answer within ${seconds} s`, file: null, line: null, resource: null }
  moveTarget(run, target, 'unable', stamp(engine))
  engine.recorder.target(run, target)
}

/** The common end: durable, then those who wait are told, then the agents that missed something are looked after. */
async function finish(engine: Engine, lane: Lane, run: Run): Promise<void> {
  run.finished_at = stamp(engine)
  if (run.state === 'applied') lane.attempts = 0
  for (const target of targetsIn(run, 'offline', 'unable', 'unknown')) engine.left_open.add(target.agent_id)
  engine.recorder.run(run)
  if (++lane.finished % PRUNE_EVERY === 0) prune(engine, lane, run)
  await engine.recorder.flushed()
  engine.ended(run.id)
}

function prune(engine: Engine, lane: Lane, run: Run): void {
  if (run.decided_at === null) return
  engine.recorder.also(tx =>
    pruneDeployments(tx, lane.workspace_id, LIMITS.deployments_kept, run.release_number),
  )
}

/** A defect, not a state of the world: the decision stands if there was one. */
async function giveUp(engine: Engine, run: Run): Promise<void> {
  run.reason = 'The master failed while it ran this deployment; its log has the cause.'
  run.state = run.decided_at === null ? 'aborted' : 'failed'
  run.finished_at = stamp(engine)
  engine.recorder.run(run)
  await engine.recorder.flushed()
  engine.ended(run.id)
}
