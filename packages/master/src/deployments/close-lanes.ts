import type { Engine } from './engine.ts'

/**
 * After the commit in which workspaces were deleted: what runs in them ends where it stands, nothing of it is written any more,
 * and whoever waits for one of these deployments is woken.
 */
export function closeLanes(
  engine: Engine,
  workspace_ids: readonly string[],
  deployment_ids: readonly string[],
): void {
  const workspaces = new Set(workspace_ids)
  for (const workspace_id of workspaces) {
    const lane = engine.lanes.get(workspace_id)
    if (!lane) continue
    engine.lanes.delete(workspace_id)
    lane.closed = true
    if (lane.retry) clearTimeout(lane.retry)
    lane.retry = null
    lane.waiting.clear()
    lane.later.clear()
  }
  for (const { run } of engine.active.values()) {
    if (!workspaces.has(run.workspace_id)) continue
    run.discarded = true
    run.onSettled?.()
  }
  for (const id of deployment_ids) engine.ended(id)
}
