import { newestDecided } from './deployment-store.ts'
import type { EngineDeps, Lane, Loaded } from './engine.ts'
import { changesBetween, type ItemChange, itemsOf } from './release-store.ts'
import { advanced, type SnapshotChange, snapshotOf } from './snapshot.ts'

export const newLane = (workspace_id: string): Lane => ({
  workspace_id,
  closed: false,
  running: null,
  pumping: false,
  again: false,
  decided: null,
  highest_generation: null,
  attempts: 0,
  retry: null,
  waiting: new Map(),
  catching: false,
  catch_ups: new Map(),
  later: new Set(),
  troubles: new Map(),
  refusals: new Map(),
  finished: 0,
})

/** The newest release whose delivery was decided; null: there is none. After an error the next caller reads it again. */
export function decidedOf(deps: EngineDeps, lane: Lane): Promise<Loaded | null> {
  lane.decided ??= loadDecided(deps, lane.workspace_id).catch(error => {
    lane.decided = null
    throw error
  })
  return lane.decided
}

async function loadDecided(deps: EngineDeps, workspace_id: string): Promise<Loaded | null> {
  const newest = await newestDecided(deps.db.read, workspace_id)
  if (!newest) return null
  const items = await itemsOf(deps.db.read, workspace_id, newest.release_number)
  const snapshot = snapshotOf(await deps.versions.versions(deps.db.read, items))
  return { release_id: newest.release_id, number: newest.release_number, snapshot }
}

/** A release, made from the last decided one: reads only what changed. `news` is the difference. */
export async function loadRelease(
  deps: EngineDeps,
  workspace_id: string,
  release: { id: string; number: number },
  decided: Loaded | null,
): Promise<Loaded & { news: ItemChange[] }> {
  const near = decided && decided.number <= release.number ? decided : null
  const news = await changesBetween(deps.db.read, workspace_id, near?.number ?? 0, release.number)
  const present = news.flatMap(one =>
    one.version_number === null ? [] : [{ ...one, version_number: one.version_number }],
  )
  const resources = await deps.versions.versions(deps.db.read, present)
  if (!near) return { release_id: release.id, number: release.number, snapshot: snapshotOf(resources), news }
  const by_id = new Map(resources.map(one => [one.id, one]))
  const changes: SnapshotChange[] = news.map(({ kind, id }) => ({
    kind,
    id,
    resource: by_id.get(id) ?? null,
  }))
  return { release_id: release.id, number: release.number, snapshot: advanced(near.snapshot, changes), news }
}
