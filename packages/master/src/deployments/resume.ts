import { tell } from './changes.ts'
import { type DeploymentRow, inStates, newestDecided, updateDeployment } from './deployment-store.ts'
import { type Engine, type Lane, stamp } from './engine.ts'
import { requeue } from './follow-up.ts'
import { lookAfter, runOf } from './queue.ts'
import { addTarget, type Run } from './run.ts'
import { see } from './runner.ts'
import { targetOf, targetsOf } from './target-store.ts'

/**
 * After a start, also after a kill: what was decided is carried to its end, what was not is given up, and a change that was
 * accepted is not lost. Called before agents can connect.
 */
export async function resume(engine: Engine): Promise<void> {
  const open = await inStates(engine.deps.db.read, ['queued', 'preparing', 'committing'])
  for (const row of open) if (row.state === 'committing') await resumeOne(engine, row)
  const undecided = open.filter(row => isUndecided(row))
  await giveUp(engine, undecided)
  for (const row of undecided) if (row.trigger_name === 'change') await tryAgain(engine, row)
  const queued = open.filter(row => row.state === 'queued' && row.trigger_name === 'change')
  for (const workspace_id of new Set(queued.map(row => row.workspace_id)))
    engine.pump(engine.lane(workspace_id))
}

/** Deliveries of what an agent missed are not queued again: the agent's return starts a new one. */
const isUndecided = (row: DeploymentRow) =>
  row.state === 'preparing' || (row.state === 'queued' && row.trigger_name !== 'change')

async function giveUp(engine: Engine, rows: readonly DeploymentRow[]): Promise<void> {
  if (rows.length === 0) return
  const reason = 'The master was restarted before the decision; nothing was changed.'
  await engine.deps.db.write(async tx => {
    for (const row of rows) {
      await updateDeployment(tx, row.id, { state: 'aborted', reason, finished_at: stamp(engine) })
      tell(engine.deps, tx, row)
    }
  })
}

async function tryAgain(engine: Engine, row: DeploymentRow): Promise<void> {
  const decided = await newestDecided(engine.deps.db.read, row.workspace_id)
  if (decided && decided.release_number >= row.release_number) return
  await requeue(engine, engine.lane(row.workspace_id), runOf(row))
}

async function resumeOne(engine: Engine, row: DeploymentRow): Promise<void> {
  const lane = engine.lane(row.workspace_id)
  const run = await committingRun(engine, row)
  engine.active.set(run.id, { run, lane })
  // The queue waits for it as it would have without the restart.
  const inQueue = run.trigger === 'change'
  if (inQueue) {
    lane.running = run
    lane.pumping = true
  } else for (const agent_id of run.targets.keys()) lane.catch_ups.set(agent_id, run)
  void see(engine, lane, run)
    .catch(error => run.discarded || engine.deps.onError(`deployment ${run.id}`, error))
    .then(() => letGo(engine, lane, run, inQueue))
}

function letGo(engine: Engine, lane: Lane, run: Run, inQueue: boolean): void {
  engine.active.delete(run.id)
  for (const [agent_id, active] of lane.catch_ups) if (active === run) lane.catch_ups.delete(agent_id)
  if (inQueue) {
    lane.running = null
    lane.pumping = false
  }
  lookAfter(engine, lane, run)
  engine.pump(lane)
}

/** As it stood at the decision: the proofs that are on record, the others open. */
async function committingRun(engine: Engine, row: DeploymentRow): Promise<Run> {
  const run = runOf(row)
  Object.assign(run, {
    state: 'committing',
    reason: row.reason,
    started_at: row.started_at,
    decided_at: row.decided_at,
  })
  for (const stored of await targetsOf(engine.deps.db.read, row.id)) {
    const { agent_id, agent_name, state, steps, tree_hash, error, swapped_back, timings_ms } =
      targetOf(stored)
    addTarget(run, {
      agent_id,
      agent_name,
      state,
      steps,
      tree_hash,
      error,
      swapped_back,
      timings_ms,
      bundle: null,
      bundle_hash: stored.bundle_hash ?? '',
      troubled: false,
    })
  }
  return run
}
