import type { DeploymentTarget, TargetState } from '@nxmesh/contract'
import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Tables } from '../database/tables.ts'

export type TargetRow = Selectable<Tables['deployment_targets']>

/** Rows of one statement, so that parameters stay far below the limits of both engines. */
export const ROWS_AT_ONCE = 400

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

/** By deployment, how many of its targets are in each state. */
export async function countTargetStates(
  q: Queryable,
  ids: readonly string[],
): Promise<Map<string, Partial<Record<TargetState, number>>>> {
  const found = new Map<string, Partial<Record<TargetState, number>>>()
  if (ids.length === 0) return found
  const rows = await q
    .selectFrom('deployment_targets')
    .select(['deployment_id', 'state', eb => eb.fn.countAll<number>().as('total')])
    .where('deployment_id', 'in', [...ids])
    .groupBy(['deployment_id', 'state'])
    .execute()
  for (const { deployment_id, state, total } of rows) {
    const counts = found.get(deployment_id) ?? {}
    found.set(deployment_id, { ...counts, [state as TargetState]: Number(total) })
  }
  return found
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
 * overtaken by it. Answers the deployments whose parts these were.
 */
export async function resolveLeftOpen(
  tx: Tx,
  agent_id: string,
  served: { deployment_id: string | null; bundle_hash: string; at: string },
  running: readonly string[],
): Promise<readonly string[]> {
  let open = tx
    .updateTable('deployment_targets')
    .where('agent_id', '=', agent_id)
    .where('state', 'in', LEFT_OPEN)
  if (running.length > 0) open = open.where('deployment_id', 'not in', [...running])
  const served_now = await open
    .set({ state: 'serving', serving_at: served.at })
    .where(eb =>
      eb.or([
        eb('bundle_hash', '=', served.bundle_hash),
        ...(served.deployment_id === null ? [] : [eb('deployment_id', '=', served.deployment_id)]),
      ]),
    )
    .returning('deployment_id')
    .execute()
  const overtaken = await open.set({ state: 'superseded' }).returning('deployment_id').execute()
  return [...new Set([...served_now, ...overtaken].map(row => row.deployment_id))]
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
