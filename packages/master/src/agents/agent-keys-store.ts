import type { Insertable, Selectable, Updateable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'

export type AgentKeyRow = Selectable<Tables['agent_keys']>

export async function keyById(db: Queryable, id: string): Promise<AgentKeyRow | undefined> {
  return await db.selectFrom('agent_keys').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The newest first. */
export async function keysOf(db: Queryable, agent_id: string, slice: Slice): Promise<AgentKeyRow[]> {
  const query = db.selectFrom('agent_keys').selectAll().where('agent_id', '=', agent_id)
  return await query
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(slice.limit)
    .offset(slice.offset)
    .execute()
}

export async function countKeys(db: Queryable, agent_id: string): Promise<number> {
  const query = db.selectFrom('agent_keys').select(eb => eb.fn.countAll<number>().as('count'))
  return Number((await query.where('agent_id', '=', agent_id).executeTakeFirstOrThrow()).count)
}

/** Primary, secondary and candidate, where there is one. */
export async function liveKeysOf(db: Queryable, agent_id: string): Promise<AgentKeyRow[]> {
  return await db
    .selectFrom('agent_keys')
    .selectAll()
    .where('agent_id', '=', agent_id)
    .where('status', '!=', 'ended')
    .execute()
}

export async function insertKey(tx: Tx, row: Insertable<Tables['agent_keys']>): Promise<void> {
  await tx.insertInto('agent_keys').values(row).execute()
}

export async function updateKey(tx: Tx, id: string, change: Updateable<Tables['agent_keys']>): Promise<void> {
  await tx.updateTable('agent_keys').set(change).where('id', '=', id).execute()
}

const ended = (ended_at: string) => ({ status: 'ended', ended_at, ends_at: null, sealed_key: '' })

export async function endKeys(tx: Tx, agent_id: string, at: string): Promise<void> {
  const query = tx.updateTable('agent_keys').set(ended(at)).where('agent_id', '=', agent_id)
  await query.where('status', '!=', 'ended').execute()
}

/** Only those of this status: `secondary` or `candidate`. */
export async function endKeysOf(tx: Tx, agent_id: string, status: string, at: string): Promise<void> {
  const query = tx.updateTable('agent_keys').set(ended(at)).where('agent_id', '=', agent_id)
  await query.where('status', '=', status).execute()
}

/** Primary keys that were made before a time and have no candidate, the oldest first, behind the last one of the page before. */
export async function agedKeys(
  db: Queryable,
  made_before: string,
  behind: { created_at: string; id: string } | null,
  limit: number,
): Promise<Pick<AgentKeyRow, 'id' | 'agent_id' | 'created_at'>[]> {
  const waiting = db.selectFrom('agent_keys').select('agent_id').where('status', '=', 'candidate')
  let query = db
    .selectFrom('agent_keys')
    .select(['id', 'agent_id', 'created_at'])
    .where('status', '=', 'primary')
    .where('created_at', '<=', made_before)
    .where('agent_id', 'not in', waiting)
  if (behind)
    query = query.where(eb =>
      eb.or([
        eb('created_at', '>', behind.created_at),
        eb.and([eb('created_at', '=', behind.created_at), eb('id', '>', behind.id)]),
      ]),
    )
  return await query.orderBy('created_at').orderBy('id').limit(limit).execute()
}

/** Whether a sweep would find anything: it takes a write transaction only then. */
export async function anyOver(db: Queryable, now: string, ended_before: string): Promise<boolean> {
  const query = db
    .selectFrom('agent_keys')
    .select('id')
    .where(eb =>
      eb.or([
        eb.and([eb('status', 'in', ['secondary', 'candidate']), eb('ends_at', '<=', now)]),
        eb.and([eb('status', '=', 'ended'), eb('ended_at', '<=', ended_before)]),
      ]),
    )
  return (await query.limit(1).executeTakeFirst()) !== undefined
}

/** Ends what is past its time, and forgets what ended long ago. */
export async function sweepKeys(tx: Tx, now: string, ended_before: string): Promise<void> {
  const over = tx.updateTable('agent_keys').set(ended(now)).where('status', 'in', ['secondary', 'candidate'])
  await over.where('ends_at', '<=', now).execute()
  const old = tx.deleteFrom('agent_keys').where('status', '=', 'ended')
  await old.where('ended_at', '<=', ended_before).execute()
}
