import type { Deployment, DeploymentState, DeploymentTarget, Principal, TargetState } from '@nxmesh/contract'
import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Tables } from '../database/tables.ts'

export type DeploymentRow = Selectable<Tables['deployments']>
export type TargetRow = Selectable<Tables['deployment_targets']>
export type PositionRow = Selectable<Tables['agent_positions']>

/** Rows of one statement, so that parameters stay far below the limits of both engines. */
const ROWS_AT_ONCE = 400

export async function insertDeployment(tx: Tx, row: DeploymentRow): Promise<void> {
  await tx.insertInto('deployments').values(row).execute()
}

export async function updateDeployment(
  tx: Tx,
  id: string,
  change: Partial<
    Pick<
      DeploymentRow,
      | 'state'
      | 'reason'
      | 'epoch'
      | 'generation'
      | 'started_at'
      | 'decided_at'
      | 'finished_at'
      | 'followed_by'
    >
  >,
): Promise<void> {
  await tx.updateTable('deployments').set(change).where('id', '=', id).execute()
}

export async function findDeployment(q: Queryable, id: string): Promise<DeploymentRow | undefined> {
  return await q.selectFrom('deployments').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Newest first. */
export async function listDeployments(
  q: Queryable,
  workspace_id: string | undefined,
  slice: { limit: number; offset: number },
): Promise<{ items: DeploymentRow[]; total: number }> {
  let found = q.selectFrom('deployments')
  if (workspace_id !== undefined) found = found.where('workspace_id', '=', workspace_id)
  const items = await found
    .selectAll()
    .orderBy('id', 'desc')
    .limit(slice.limit)
    .offset(slice.offset)
    .execute()
  const { total } = await found.select(eb => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return { items, total: Number(total) }
}

/** Changes that wait for their turn, oldest first. */
export async function queuedIn(q: Queryable, workspace_id: string): Promise<DeploymentRow[]> {
  return await q
    .selectFrom('deployments')
    .selectAll()
    .where('state', '=', 'queued')
    .where('workspace_id', '=', workspace_id)
    .where('trigger_name', '=', 'change')
    .orderBy('release_number')
    .orderBy('id')
    .execute()
}

export async function inStates(q: Queryable, states: readonly DeploymentState[]): Promise<DeploymentRow[]> {
  return await q
    .selectFrom('deployments')
    .selectAll()
    .where('state', 'in', [...states])
    .orderBy('id')
    .execute()
}

/** The newest release whose delivery was decided; null before the first. */
export async function newestDecided(
  q: Queryable,
  workspace_id: string,
): Promise<{ release_id: string; release_number: number } | null> {
  const row = await q
    .selectFrom('deployments')
    .select(['release_id', 'release_number'])
    .where('workspace_id', '=', workspace_id)
    .where('decided_at', 'is not', null)
    .orderBy('release_number', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row ?? null
}

/** Deployments that this one speaks for: it absorbed them, or carries on what they did not bring. */
export async function followedBy(
  q: Queryable,
  workspace_id: string,
  id: string,
): Promise<{ id: string; release_number: number }[]> {
  return await q
    .selectFrom('deployments')
    .select(['id', 'release_number'])
    .where('workspace_id', '=', workspace_id)
    .where('followed_by', '=', id)
    .execute()
}

/** A change's deployment that came after this one; undefined: this is the newest. */
export async function newerThan(
  q: Queryable,
  workspace_id: string,
  one: { id: string; release_number: number },
): Promise<string | undefined> {
  const row = await q
    .selectFrom('deployments')
    .select('id')
    .where('workspace_id', '=', workspace_id)
    .where('trigger_name', '=', 'change')
    .where('release_number', '>=', one.release_number)
    .where('id', '>', one.id)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.id
}

/** The highest generation that agents may have seen. */
export async function highestGeneration(q: Queryable, workspace_id: string): Promise<number> {
  const row = await q
    .selectFrom('deployments')
    .select(eb => eb.fn.max('generation').as('highest'))
    .where('workspace_id', '=', workspace_id)
    .where('state', '!=', 'queued')
    .executeTakeFirst()
  return Number(row?.highest ?? 0)
}

/** Deletes ended deployments beyond the newest `keep`, never one of the release that is deployed. */
export async function pruneDeployments(
  tx: Tx,
  workspace_id: string,
  keep: number,
  deployed_number: number,
): Promise<void> {
  const oldest = await tx
    .selectFrom('deployments')
    .select('id')
    .where('workspace_id', '=', workspace_id)
    .orderBy('id', 'desc')
    .offset(keep)
    .limit(1)
    .executeTakeFirst()
  if (!oldest) return
  await tx
    .deleteFrom('deployments')
    .where('workspace_id', '=', workspace_id)
    .where('id', '<=', oldest.id)
    .where('release_number', '<', deployed_number)
    .where('finished_at', 'is not', null)
    .execute()
}

// --- Targets ---

export async function targetsOf(q: Queryable, deployment_id: string): Promise<TargetRow[]> {
  return await q
    .selectFrom('deployment_targets')
    .selectAll()
    .where('deployment_id', '=', deployment_id)
    .orderBy('agent_name')
    .execute()
}

export async function countTargets(q: Queryable, ids: readonly string[]): Promise<Map<string, number>> {
  if (ids.length === 0) return new Map()
  const rows = await q
    .selectFrom('deployment_targets')
    .select(['deployment_id', eb => eb.fn.countAll<number>().as('total')])
    .where('deployment_id', 'in', [...ids])
    .groupBy('deployment_id')
    .execute()
  return new Map(rows.map(row => [row.deployment_id, Number(row.total)]))
}

/** Writes targets as they stand now: repeating it does no harm. */
export async function putTargets(tx: Tx, rows: readonly TargetRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    await tx
      .insertInto('deployment_targets')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .onConflict(conflict =>
        conflict.columns(['deployment_id', 'agent_id']).doUpdateSet(eb => ({
          state: eb.ref('excluded.state'),
          epoch: eb.ref('excluded.epoch'),
          generation: eb.ref('excluded.generation'),
          bundle_hash: eb.ref('excluded.bundle_hash'),
          tree_hash: eb.ref('excluded.tree_hash'),
          error_json: eb.ref('excluded.error_json'),
          swapped_back: eb.ref('excluded.swapped_back'),
          timings_json: eb.ref('excluded.timings_json'),
          desired_at: eb.ref('excluded.desired_at'),
          delivered_at: eb.ref('excluded.delivered_at'),
          prepared_at: eb.ref('excluded.prepared_at'),
          committed_at: eb.ref('excluded.committed_at'),
          loaded_at: eb.ref('excluded.loaded_at'),
          serving_at: eb.ref('excluded.serving_at'),
          failed_at: eb.ref('excluded.failed_at'),
        })),
      )
      .execute()
  }
}

const LEFT_OPEN: TargetState[] = ['offline', 'unable', 'unknown']

/** Agents with a part of an ended deployment that never came to an end of its own. */
export async function agentsLeftOpen(q: Queryable): Promise<string[]> {
  const rows = await q
    .selectFrom('deployment_targets')
    .select('agent_id')
    .distinct()
    .where('state', 'in', LEFT_OPEN)
    .execute()
  return rows.map(row => row.agent_id)
}

/**
 * Resolves what an agent left open: parts of `serving_deployment_id`, or of the same bundle, are served since `at`; others were
 * overtaken by it.
 */
export async function resolveLeftOpen(
  tx: Tx,
  agent_id: string,
  served: { deployment_id: string | null; bundle_hash: string; at: string },
  running: readonly string[],
): Promise<void> {
  let open = tx
    .updateTable('deployment_targets')
    .where('agent_id', '=', agent_id)
    .where('state', 'in', LEFT_OPEN)
  if (running.length > 0) open = open.where('deployment_id', 'not in', [...running])
  await open
    .set({ state: 'serving', serving_at: served.at })
    .where(eb =>
      eb.or([
        eb('bundle_hash', '=', served.bundle_hash),
        ...(served.deployment_id === null ? [] : [eb('deployment_id', '=', served.deployment_id)]),
      ]),
    )
    .execute()
  await open.set({ state: 'superseded' }).execute()
}

// --- Positions ---

export async function allPositions(q: Queryable): Promise<PositionRow[]> {
  return await q.selectFrom('agent_positions').selectAll().execute()
}

export async function putPositions(tx: Tx, rows: readonly PositionRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    await tx
      .insertInto('agent_positions')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .onConflict(conflict =>
        conflict.column('agent_id').doUpdateSet(eb => ({
          desired_deployment_id: eb.ref('excluded.desired_deployment_id'),
          desired_release_number: eb.ref('excluded.desired_release_number'),
          desired_epoch: eb.ref('excluded.desired_epoch'),
          desired_generation: eb.ref('excluded.desired_generation'),
          desired_bundle_hash: eb.ref('excluded.desired_bundle_hash'),
          serving_deployment_id: eb.ref('excluded.serving_deployment_id'),
          serving_release_number: eb.ref('excluded.serving_release_number'),
          serving_bundle_hash: eb.ref('excluded.serving_bundle_hash'),
          serving_tree_hash: eb.ref('excluded.serving_tree_hash'),
          serving_since: eb.ref('excluded.serving_since'),
          epoch: eb.ref('excluded.epoch'),
          generation: eb.ref('excluded.generation'),
          last_error: eb.ref('excluded.last_error'),
          hold_since: eb.ref('excluded.hold_since'),
          hold_reason: eb.ref('excluded.hold_reason'),
        })),
      )
      .execute()
  }
}

export async function deletePosition(tx: Tx, agent_id: string): Promise<void> {
  await tx.deleteFrom('agent_positions').where('agent_id', '=', agent_id).execute()
}

// --- Rows to entities ---

export function deploymentOf(
  row: DeploymentRow,
  carried: Deployment['carried'],
): Omit<Deployment, 'targets'> {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    release_id: row.release_id,
    release_number: row.release_number,
    state: row.state as DeploymentState,
    trigger: row.trigger_name as Deployment['trigger'],
    reason: row.reason,
    epoch: row.epoch,
    generation: row.generation,
    carried,
    created_by: { type: row.created_by_type as Principal['type'], id: row.created_by_id },
    created_at: row.created_at,
    started_at: row.started_at,
    decided_at: row.decided_at,
    finished_at: row.finished_at,
    followed_by: row.followed_by,
  }
}

export function targetOf(row: TargetRow): DeploymentTarget {
  return {
    agent_id: row.agent_id,
    agent_name: row.agent_name,
    state: row.state as TargetState,
    steps: {
      desired_at: row.desired_at,
      delivered_at: row.delivered_at,
      prepared_at: row.prepared_at,
      committed_at: row.committed_at,
      loaded_at: row.loaded_at,
      serving_at: row.serving_at,
      failed_at: row.failed_at,
    },
    generation: row.generation,
    bundle_hash: row.bundle_hash,
    tree_hash: row.tree_hash,
    error: row.error_json === null ? null : JSON.parse(row.error_json),
    swapped_back: row.swapped_back !== 0,
    timings_ms: JSON.parse(row.timings_json),
  }
}
