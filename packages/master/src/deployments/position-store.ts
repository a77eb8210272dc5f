import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Tables } from '../database/tables.ts'
import { ROWS_AT_ONCE } from './target-store.ts'

export type PositionRow = Selectable<Tables['agent_positions']>

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

export async function deletePositions(tx: Tx, agent_ids: readonly string[]): Promise<void> {
  for (let from = 0; from < agent_ids.length; from += ROWS_AT_ONCE)
    await tx
      .deleteFrom('agent_positions')
      .where('agent_id', 'in', agent_ids.slice(from, from + ROWS_AT_ONCE))
      .execute()
}
