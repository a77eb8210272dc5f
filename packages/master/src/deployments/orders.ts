import { highestGeneration, updateDeployment } from './deployment-store.ts'
import type { Engine, Lane } from './engine.ts'
import type { Run } from './run.ts'

/**
 * A deployment gets its order when its row is written; where others went out to agents since with a later one, it gets a new
 * one, or agents would refuse it. When this resolves, nothing in this workspace was sent with a higher order.
 */
export async function renewOrder(engine: Engine, lane: Lane, run: Run): Promise<void> {
  const { db, tenancy } = engine.deps
  if (lane.highest_generation === null) {
    const recorded = await highestGeneration(db.read, lane.workspace_id)
    // Another may have been sent while this was read.
    lane.highest_generation = Math.max(lane.highest_generation ?? 0, recorded)
  }
  while (run.generation <= lane.highest_generation) {
    const order = await db.write(async tx => {
      const next = await tenancy.nextGeneration(tx, lane.workspace_id)
      await updateDeployment(tx, run.id, next)
      return next
    })
    Object.assign(run, order)
  }
  // Taken in the step that has looked: another that looks before this one is sent gets a higher one.
  lane.highest_generation = run.generation
}
