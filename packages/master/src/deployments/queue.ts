import type { Principal } from '@nxmesh/contract'
import { tell } from './changes.ts'
import { backoff_ms } from './deployment-rules.ts'
import type { DeploymentRow } from './deployment-store.ts'
import { queuedIn, updateDeployment } from './deployment-store.ts'
import { type Engine, isOver, type Lane, later, stamp } from './engine.ts'
import { decidedOf, loadRelease } from './lanes.ts'
import { renewOrder } from './orders.ts'
import { newRun, type Run, targetsIn } from './run.ts'
import { deploy } from './runner.ts'

/**
 * The queue of a workspace: one deployment of a change at a time. What arrives while one runs goes out together with the
 * newest of them. Never waits, never throws.
 */
export function pump(engine: Engine, lane: Lane): void {
  lane.again = true
  if (lane.pumping || isOver(engine, lane)) return
  lane.pumping = true
  void drain(engine, lane).then(
    () => {
      lane.pumping = false
      if (lane.again) pump(engine, lane)
    },
    error => {
      lane.pumping = false
      if (lane.closed) return
      engine.deps.onError(`queue of workspace ${lane.workspace_id}`, error)
      later(engine, engine.times.retry_min_ms, () => pump(engine, lane))
    },
  )
}

async function drain(engine: Engine, lane: Lane): Promise<void> {
  while (lane.again && !isOver(engine, lane)) {
    lane.again = false
    const waiting = await queuedIn(engine.deps.db.read, lane.workspace_id)
    const newest = waiting.at(-1)
    if (!newest) return
    lane.again = true
    if (lane.retry) clearTimeout(lane.retry)
    lane.retry = null
    await runOne(engine, lane, newest, waiting.slice(0, -1))
  }
}

async function runOne(
  engine: Engine,
  lane: Lane,
  row: DeploymentRow,
  absorbed: readonly DeploymentRow[],
): Promise<void> {
  const { deps } = engine
  const run = runOf(row)
  const decided = await decidedOf(deps, lane)
  const release = { id: row.release_id, number: row.release_number }
  const loaded = await loadRelease(deps, lane.workspace_id, release, decided)
  const agents = await deps.agents.agentsOf(lane.workspace_id)
  await renewOrder(engine, lane, run)
  if (lane.closed) return
  run.news = loaded.news
  lane.running = run
  absorb(engine, absorbed, run)
  await deploy(engine, lane, run, { release: loaded, agents })
  lane.running = null
  for (const one of absorbed) engine.ended(one.id)
  lookAfter(engine, lane, run)
}

export const runOf = (row: DeploymentRow): Run =>
  newRun({
    id: row.id,
    workspace_id: row.workspace_id,
    release_id: row.release_id,
    release_number: row.release_number,
    trigger: row.trigger_name as Run['trigger'],
    created_by: { type: row.created_by_type as Principal['type'], id: row.created_by_id },
    created_at: row.created_at,
    epoch: row.epoch,
    generation: row.generation,
  })

function absorb(engine: Engine, rows: readonly DeploymentRow[], run: Run): void {
  if (rows.length === 0) return
  const change = {
    state: 'superseded',
    reason: 'It waited while another ran; the newest that waited holds it.',
    followed_by: run.id,
    finished_at: stamp(engine),
  }
  engine.recorder.also(async tx => {
    for (const row of rows) {
      await updateDeployment(tx, row.id, change)
      tell(engine.deps, tx, row)
    }
  })
}

/** Agents that came back, or could not take it now, get what they lack. */
export function lookAfter(engine: Engine, lane: Lane, run: Run): void {
  if (lane.closed) return
  const again = new Set(lane.later)
  lane.later.clear()
  for (const target of targetsIn(run, 'offline', 'unknown')) again.add(target.agent_id)
  if (run.state !== 'aborted')
    for (const target of targetsIn(run, 'unable')) retryAgent(engine, lane, target.agent_id)
  for (const agent_id of again)
    if (engine.deps.channel.isOnline(agent_id)) engine.consider(lane, agent_id, 'agent_returned')
}

/** After a growing while, so that a full disk is not asked all day. */
export function retryAgent(engine: Engine, lane: Lane, agent_id: string): void {
  const tries = lane.troubles.get(agent_id) ?? 0
  lane.troubles.set(agent_id, tries + 1)
  const { retry_min_ms, retry_max_ms } = engine.times
  const delay_ms = backoff_ms(tries, retry_min_ms, retry_max_ms, engine.deps.random())
  later(engine, delay_ms, () => engine.consider(lane, agent_id, 'agent_returned'))
}
