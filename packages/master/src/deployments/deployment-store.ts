import type { Deployment, DeploymentState, Principal } from '@nxmesh/contract'
import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'

export type DeploymentRow = Selectable<Tables['deployments']>

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

/** Ids of nothing are left out. */
export async function deploymentsByIds(q: Queryable, ids: readonly string[]): Promise<DeploymentRow[]> {
  if (ids.length === 0) return []
  return await q
    .selectFrom('deployments')
    .selectAll()
    .where('id', 'in', [...ids])
    .orderBy('id')
    .execute()
}

/** Newest first. */
export async function listDeployments(
  q: Queryable,
  workspace_ids: readonly string[],
  slice: Slice,
): Promise<{ items: DeploymentRow[]; total: number }> {
  if (workspace_ids.length === 0) return { items: [], total: 0 }
  const found = q.selectFrom('deployments').where('workspace_id', 'in', [...workspace_ids])
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
