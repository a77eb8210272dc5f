import { DEPLOYMENT_ENDS } from '@nxmesh/contract'
import type { Queryable, Tx } from '../database/database.ts'

type Table = 'releases' | 'deployments'

export async function countIn(
  db: Queryable,
  table: Table,
  workspace_ids: readonly string[],
): Promise<number> {
  if (workspace_ids.length === 0) return 0
  const query = db.selectFrom(table).select(eb => eb.fn.countAll<number>().as('count'))
  const { count } = await query.where('workspace_id', 'in', [...workspace_ids]).executeTakeFirstOrThrow()
  return Number(count)
}

/** Those that had not ended end here: a master that starts later does not carry them on. Answers which they were. */
export async function abortOpen(
  tx: Tx,
  workspace_ids: readonly string[],
  finished_at: string,
): Promise<string[]> {
  if (workspace_ids.length === 0) return []
  const rows = await tx
    .updateTable('deployments')
    .set({ state: 'aborted', reason: 'The workspace was deleted.', finished_at })
    .where('workspace_id', 'in', [...workspace_ids])
    .where('state', 'not in', [...DEPLOYMENT_ENDS])
    .returning('id')
    .execute()
  return rows.map(row => row.id)
}

/** Deployments with their targets, at most `limit` rows; answers how many. */
export async function deleteDeployments(tx: Tx, workspace_id: string, limit: number): Promise<number> {
  let rows = 0
  while (rows < limit) {
    const query = tx.selectFrom('deployments').select('id').where('workspace_id', '=', workspace_id)
    const one = await query.limit(1).executeTakeFirst()
    if (!one) return rows
    const wanted = limit - rows
    const targets = await deleteTargets(tx, one.id, wanted)
    rows += targets
    if (targets === wanted) return rows
    await tx.deleteFrom('deployments').where('id', '=', one.id).execute()
    rows++
  }
  return rows
}

async function deleteTargets(tx: Tx, deployment_id: string, limit: number): Promise<number> {
  const found = tx
    .selectFrom('deployment_targets')
    .select('agent_id')
    .where('deployment_id', '=', deployment_id)
  const agent_ids = (await found.limit(limit).execute()).map(row => row.agent_id)
  if (agent_ids.length > 0)
    await tx
      .deleteFrom('deployment_targets')
      .where('deployment_id', '=', deployment_id)
      .where('agent_id', 'in', agent_ids)
      .execute()
  return agent_ids.length
}

const NUMBERS = { releases: 'number', release_items: 'from_number' } as const

/** The oldest releases, or what came with them: about `limit` rows; answers how many. */
export async function deleteOldest(
  tx: Tx,
  table: keyof typeof NUMBERS,
  workspace_id: string,
  limit: number,
): Promise<number> {
  const number = NUMBERS[table]
  const last = await tx
    .selectFrom(table)
    .select(`${number} as number`)
    .where('workspace_id', '=', workspace_id)
    .orderBy(number)
    .offset(limit - 1)
    .limit(1)
    .executeTakeFirst()
  let gone = tx.deleteFrom(table).where('workspace_id', '=', workspace_id)
  if (last) gone = gone.where(number, '<=', last.number)
  return Number((await gone.executeTakeFirst()).numDeletedRows)
}

export async function deleteRejected(tx: Tx, workspace_id: string): Promise<number> {
  const gone = tx.deleteFrom('rejected_versions').where('workspace_id', '=', workspace_id)
  return Number((await gone.executeTakeFirst()).numDeletedRows)
}
