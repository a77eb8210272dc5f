import type { Insertable, Selectable, Updateable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'

export type AgentRow = Selectable<Tables['agents']>
export type TokenRow = Selectable<Tables['bootstrap_tokens']>

// --- Agents ---

export async function listAgents(
  db: Queryable,
  workspace_ids: readonly string[],
  slice: Slice,
): Promise<AgentRow[]> {
  if (workspace_ids.length === 0) return []
  const query = db
    .selectFrom('agents')
    .selectAll()
    .where('workspace_id', 'in', [...workspace_ids])
    .orderBy('created_at')
    .orderBy('id')
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

export async function countAgents(db: Queryable, workspace_ids: readonly string[]): Promise<number> {
  if (workspace_ids.length === 0) return 0
  const query = db
    .selectFrom('agents')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('workspace_id', 'in', [...workspace_ids])
  return Number((await query.executeTakeFirstOrThrow()).count)
}

/** Bounded by LIMITS.agents_per_workspace. */
export async function agentsIn(db: Queryable, workspace_id: string): Promise<AgentRow[]> {
  const query = db.selectFrom('agents').selectAll().where('workspace_id', '=', workspace_id)
  return await query.orderBy('created_at').orderBy('id').execute()
}

export async function agentIdsIn(db: Queryable, workspace_ids: readonly string[]): Promise<string[]> {
  if (workspace_ids.length === 0) return []
  const query = db
    .selectFrom('agents')
    .select('id')
    .where('workspace_id', 'in', [...workspace_ids])
  return (await query.execute()).map(row => row.id)
}

export async function agentById(db: Queryable, id: string): Promise<AgentRow | undefined> {
  return await db.selectFrom('agents').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Ids of nothing are left out. */
export async function agentsByIds(db: Queryable, ids: readonly string[]): Promise<AgentRow[]> {
  if (ids.length === 0) return []
  return await db
    .selectFrom('agents')
    .selectAll()
    .where('id', 'in', [...ids])
    .execute()
}

export async function agentByName(
  db: Queryable,
  workspace_id: string,
  name: string,
): Promise<AgentRow | undefined> {
  return await db
    .selectFrom('agents')
    .selectAll()
    .where('workspace_id', '=', workspace_id)
    .where('name', '=', name)
    .executeTakeFirst()
}

export async function insertAgent(tx: Tx, row: Insertable<Tables['agents']>): Promise<void> {
  await tx.insertInto('agents').values(row).execute()
}

/** False when the agent is gone. */
export async function updateAgent(
  tx: Tx,
  id: string,
  change: Updateable<Tables['agents']>,
): Promise<boolean> {
  const done = await tx.updateTable('agents').set(change).where('id', '=', id).executeTakeFirst()
  return done.numUpdatedRows > 0n
}

export async function markSeen(tx: Tx, ids: readonly string[], last_seen_at: string): Promise<void> {
  await tx
    .updateTable('agents')
    .set({ last_seen_at })
    .where('id', 'in', [...ids])
    .execute()
}

/** Its keys and tokens go with it. */
export async function deleteAgent(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('agents').where('id', '=', id).execute()
}

/** At most `limit` of a workspace; their keys go with them. Answers which. */
export async function deleteSomeAgents(tx: Tx, workspace_id: string, limit: number): Promise<string[]> {
  const found = tx.selectFrom('agents').select('id').where('workspace_id', '=', workspace_id)
  const ids = (await found.limit(limit).execute()).map(row => row.id)
  if (ids.length > 0) await tx.deleteFrom('agents').where('id', 'in', ids).execute()
  return ids
}

// --- Bootstrap tokens ---

export async function insertToken(tx: Tx, row: Insertable<Tables['bootstrap_tokens']>): Promise<void> {
  await tx.insertInto('bootstrap_tokens').values(row).execute()
}

export async function countTokens(db: Queryable, workspace_ids: readonly string[]): Promise<number> {
  if (workspace_ids.length === 0) return 0
  const query = db
    .selectFrom('bootstrap_tokens')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('workspace_id', 'in', [...workspace_ids])
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function deleteTokensIn(tx: Tx, workspace_ids: readonly string[]): Promise<void> {
  if (workspace_ids.length === 0) return
  await tx
    .deleteFrom('bootstrap_tokens')
    .where('workspace_id', 'in', [...workspace_ids])
    .execute()
}

/** The newest first. */
export async function listTokens(db: Queryable, workspace_id: string, slice: Slice): Promise<TokenRow[]> {
  const query = db.selectFrom('bootstrap_tokens').selectAll().where('workspace_id', '=', workspace_id)
  return await query
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(slice.limit)
    .offset(slice.offset)
    .execute()
}

export async function tokenIn(
  db: Queryable,
  workspace_id: string,
  id: string,
): Promise<TokenRow | undefined> {
  const query = db.selectFrom('bootstrap_tokens').selectAll().where('id', '=', id)
  return await query.where('workspace_id', '=', workspace_id).executeTakeFirst()
}

export async function deleteToken(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('bootstrap_tokens').where('id', '=', id).execute()
}

export async function deleteDeadTokens(tx: Tx, workspace_id: string, now: string): Promise<void> {
  await tx
    .deleteFrom('bootstrap_tokens')
    .where('workspace_id', '=', workspace_id)
    .where(eb => eb.or([eb('expires_at', '<=', now), eb('uses', '>=', eb.ref('max_uses'))]))
    .execute()
}

export async function tokenByHash(db: Queryable, token_hash: string): Promise<TokenRow | undefined> {
  return await db
    .selectFrom('bootstrap_tokens')
    .selectAll()
    .where('token_hash', '=', token_hash)
    .executeTakeFirst()
}

/** Counts one use; false when none is left. Of two that race for the last one, the database lets one through. */
export async function useToken(tx: Tx, id: string): Promise<boolean> {
  const done = await tx
    .updateTable('bootstrap_tokens')
    .set(eb => ({ uses: eb('uses', '+', 1) }))
    .where('id', '=', id)
    .whereRef('uses', '<', 'max_uses')
    .executeTakeFirst()
  return done.numUpdatedRows > 0n
}
