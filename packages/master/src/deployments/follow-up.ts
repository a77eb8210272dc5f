import type { CarriedResource } from '@nxmesh/contract'
import type { Tx } from '../database/database.ts'
import { blamed } from './blame-rules.ts'
import { tell } from './changes.ts'
import { followedBy, insertDeployment, newerThan, queuedIn, updateDeployment } from './deployment-store.ts'
import { type Engine, type EngineDeps, type Lane, SYSTEM, stamp } from './engine.ts'
import { changesBetween, type ItemRef, insertRefused } from './release-store.ts'
import { makeRelease } from './releases.ts'
import { newRun, type Run, type RunOrigin, type RunTarget, type Trigger } from './run.ts'

/**
 * After a `no`: records the versions that are to blame, and brings on what is not. One bad edit blocks nobody else's: a
 * release without it follows at once when it came together with others, when others wait, or when it was decided already.
 */
export async function bringOn(engine: Engine, lane: Lane, run: Run, target: RunTarget): Promise<void> {
  const refused = blamedBy(engine, run, target)
  if (refused.length === 0) return
  const ids = new Set(refused.map(one => one.id))
  const others = run.news.some(one => !ids.has(one.id))
  const { db } = engine.deps
  // What this deployment absorbed must be on record before it is looked for.
  await engine.recorder.flushed()
  const followed = await db.write(async tx => {
    await engine.deps.tenancy.lockWorkspace(tx, lane.workspace_id)
    const origin = { deployment_id: run.id, created_at: stamp(engine) }
    await insertRefused(tx, lane.workspace_id, refused, origin)
    const waiting = await queuedIn(tx, lane.workspace_id)
    if (!others && waiting.length === 0 && run.decided_at === null && run.trigger === 'change') return null
    const { id, carried } = await newDeployment(engine, tx, lane, { ...run, created_by: SYSTEM }, true)
    for (const one of waiting) await absorb(engine, tx, one, id)
    // What is held back is not brought on by the next deployment: whoever waits for it hears of the refusal.
    const held = new Set([...ids, ...carried.map(one => one.id)])
    await redirect(engine, tx, lane.workspace_id, run, held, id)
    const own = await isOwnChange(tx, lane.workspace_id, run.release_number, held)
    return { id, own, waiting: waiting.map(one => one.id) }
  })
  if (!followed) return
  if (!followed.own) run.followed_by = followed.id
  for (const id of followed.waiting) engine.ended(id)
  // The running deployment ends first; a catch-up does not hold the queue.
  if (lane.running !== run) engine.pump(lane)
}

function blamedBy(engine: Engine, run: Run, target: RunTarget): ItemRef[] {
  const { snapshot } = run
  if (!snapshot || !target.error) return []
  const news = run.news.flatMap(one =>
    one.version_number === null ? [] : [{ kind: one.kind, id: one.id, version_number: one.version_number }],
  )
  const fresh = new Set(news.map(one => one.id))
  const isNew = (kind: string, id: string) => fresh.has(id) || !isServed(engine, target, `${kind}/${id}`)
  return blamed({ error: target.error, snapshot, isNew, news })
}

/** Whether any agent serves the object as the target should have. */
function isServed(engine: Engine, target: RunTarget, key: string): boolean {
  const hash = target.bundle?.entries.find(entry => entry.key === key)?.hash
  if (!hash) return true
  for (const bundle_hash of engine.positions.served()) {
    const bundle = engine.bundles.get(bundle_hash)
    if (bundle?.entries.some(entry => entry.key === key && entry.hash === hash)) return true
  }
  return false
}

type Origin = Pick<Run, 'release_id' | 'release_number' | 'created_by'>

/** A deployment row; of a new release that leaves out what was refused, or of the same one again. */
async function newDeployment(
  engine: Engine,
  tx: Tx,
  lane: Lane,
  origin: Origin,
  new_release: boolean,
): Promise<{ id: string; carried: readonly CarriedResource[] }> {
  const { deps } = engine
  const { workspace_id } = lane
  const release = new_release
    ? await makeRelease({ ...deps, ...deps.tenancy }, tx, workspace_id, origin.created_by, null)
    : { id: origin.release_id, number: origin.release_number, carried: [] }
  const { id } = await queueDeployment(engine.deps, tx, workspace_id, release, 'change', origin.created_by)
  return { id, carried: release.carried }
}

/** Writes the row of a deployment that waits for its turn, with a new order. */
export async function queueDeployment(
  deps: Pick<EngineDeps, 'tenancy' | 'newId' | 'now' | 'changed'>,
  tx: Tx,
  workspace_id: string,
  release: { id: string; number: number },
  trigger: Trigger,
  created_by: Run['created_by'],
): Promise<RunOrigin> {
  const { epoch, generation } = await deps.tenancy.nextGeneration(tx, workspace_id)
  const row = {
    id: deps.newId(),
    workspace_id,
    release_id: release.id,
    release_number: release.number,
    epoch,
    generation,
    created_at: deps.now().toISOString(),
  }
  await insertDeployment(tx, {
    ...row,
    state: 'queued',
    trigger_name: trigger,
    reason: null,
    created_by_type: created_by.type,
    created_by_id: created_by.id,
    started_at: null,
    decided_at: null,
    finished_at: null,
    followed_by: null,
  })
  tell(deps, tx, row)
  return { ...row, trigger, created_by }
}

/** A deployment outside the queue: its row and its run. */
export async function insertedRun(
  engine: Engine,
  lane: Lane,
  release: { id: string; number: number },
  trigger: Trigger,
  created_by: Run['created_by'],
): Promise<Run> {
  return await engine.deps.db.write(async tx => {
    await engine.deps.tenancy.lockWorkspace(tx, lane.workspace_id)
    return newRun(await queueDeployment(engine.deps, tx, lane.workspace_id, release, trigger, created_by))
  })
}

async function absorb(
  engine: Engine,
  tx: Tx,
  row: Pick<Run, 'id' | 'workspace_id'>,
  followed_by: string,
): Promise<void> {
  const reason = 'A newer deployment holds it.'
  tell(engine.deps, tx, row)
  await updateDeployment(tx, row.id, { state: 'superseded', reason, followed_by, finished_at: stamp(engine) })
}

/** Deployments that went on with the refused one, and whose own change is not held back, go on with the next. */
async function redirect(
  engine: Engine,
  tx: Tx,
  workspace_id: string,
  run: Run,
  ids: ReadonlySet<string>,
  next_id: string,
): Promise<void> {
  for (const one of await followedBy(tx, workspace_id, run.id))
    if (!(await isOwnChange(tx, workspace_id, one.release_number, ids))) {
      await updateDeployment(tx, one.id, { followed_by: next_id })
      tell(engine.deps, tx, { id: one.id, workspace_id })
    }
}

async function isOwnChange(
  q: Parameters<typeof changesBetween>[0],
  workspace_id: string,
  release_number: number,
  ids: ReadonlySet<string>,
): Promise<boolean> {
  const own = await changesBetween(q, workspace_id, release_number - 1, release_number)
  return own.some(one => ids.has(one.id))
}

/** Tries a release again that nothing was decided about, unless something newer waits already. */
export async function requeue(engine: Engine, lane: Lane, run: Origin & Pick<Run, 'id'>): Promise<void> {
  lane.retry = null
  if (lane.closed) return
  try {
    await engine.deps.db.write(async tx => {
      await engine.deps.tenancy.lockWorkspace(tx, lane.workspace_id)
      const newer_id = await newerThan(tx, lane.workspace_id, run)
      const next_id = newer_id ?? (await newDeployment(engine, tx, lane, run, false)).id
      await updateDeployment(tx, run.id, { followed_by: next_id })
      tell(engine.deps, tx, { id: run.id, workspace_id: lane.workspace_id })
    })
    engine.pump(lane)
  } catch (error) {
    if (lane.closed) return
    engine.deps.onError(`retry of deployment ${run.id}`, error)
  }
}
