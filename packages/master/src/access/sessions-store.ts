import { LIMITS } from '@nxmesh/contract'
import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'

export type SessionRow = Selectable<Tables['sessions']>

export async function insertSession(tx: Tx, row: SessionRow): Promise<void> {
  await tx.insertInto('sessions').values(row).execute()
}

export async function sessionById(db: Queryable, id: string): Promise<SessionRow | undefined> {
  return await db.selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The session with its user, as long as the user is active. */
export async function liveSession(db: Queryable, id: string) {
  return await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(['sessions.id', 'sessions.user_id', 'sessions.expires_at', 'users.email', 'users.name'])
    .where('sessions.id', '=', id)
    .where('users.status', '=', 'active')
    .executeTakeFirst()
}

export async function sessionByRefresh(db: Queryable, refresh_hash: string): Promise<SessionRow | undefined> {
  return await db
    .selectFrom('sessions')
    .selectAll()
    .where('refresh_hash', '=', refresh_hash)
    .executeTakeFirst()
}

/** The session that a refresh token belonged to before it was exchanged. */
export async function sessionOfUsedToken(db: Queryable, token_hash: string): Promise<SessionRow | undefined> {
  return await db
    .selectFrom('used_refresh_tokens')
    .innerJoin('sessions', 'sessions.id', 'used_refresh_tokens.session_id')
    .selectAll('sessions')
    .where('used_refresh_tokens.token_hash', '=', token_hash)
    .executeTakeFirst()
}

/** Exchanges the refresh token; false when another exchange was quicker. */
export async function rotateRefresh(
  tx: Tx,
  row: SessionRow,
  next: Pick<SessionRow, 'refresh_hash' | 'refreshed_at' | 'expires_at' | 'ip_address' | 'user_agent'>,
): Promise<boolean> {
  const done = await tx
    .updateTable('sessions')
    .set(next)
    .where('id', '=', row.id)
    .where('refresh_hash', '=', row.refresh_hash)
    .executeTakeFirst()
  if (done.numUpdatedRows === 0n) return false
  const used = { token_hash: row.refresh_hash, session_id: row.id, used_at: next.refreshed_at }
  await tx.insertInto('used_refresh_tokens').values(used).execute()
  return true
}

export async function countRotations(db: Queryable, session_id: string): Promise<number> {
  const query = db
    .selectFrom('used_refresh_tokens')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('session_id', '=', session_id)
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function deleteSession(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('sessions').where('id', '=', id).execute()
}

/** Ends the sessions of a user but for one; answers their ids. */
export async function deleteSessionsOf(tx: Tx, user_id: string, but: string | null): Promise<string[]> {
  let query = tx.deleteFrom('sessions').where('user_id', '=', user_id)
  if (but !== null) query = query.where('id', '!=', but)
  return (await query.returning('id').execute()).map(row => row.id)
}

/** Ends what has expired, and the user's oldest sessions beyond `keep`. */
export async function pruneSessions(tx: Tx, user_id: string, now: string, keep: number): Promise<void> {
  await tx.deleteFrom('sessions').where('expires_at', '<=', now).execute()
  const surplus = await tx
    .selectFrom('sessions')
    .select('id')
    .where('user_id', '=', user_id)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(LIMITS.sessions_per_user)
    .offset(keep)
    .execute()
  if (surplus.length === 0) return
  const ids = surplus.map(one => one.id)
  await tx.deleteFrom('sessions').where('id', 'in', ids).execute()
}

export async function listSessions(
  db: Queryable,
  user_id: string,
  now: string,
  slice: Slice,
): Promise<{ items: SessionRow[]; total: number }> {
  const live = db.selectFrom('sessions').where('user_id', '=', user_id).where('expires_at', '>', now)
  const items = await live
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(slice.limit)
    .offset(slice.offset)
    .execute()
  const { total } = await live.select(eb => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return { items, total: Number(total) }
}

/** The addresses from which a user is logged in. */
export async function addressesOf(db: Queryable, user_id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('sessions')
    .select('ip_address')
    .where('user_id', '=', user_id)
    .where('ip_address', 'is not', null)
    .execute()
  return rows.flatMap(row => row.ip_address ?? [])
}

/** Ends the sessions that began with an identity provider: all, or those of one user but for one. Answers their ids. */
export async function deleteSessionsOfProvider(
  tx: Tx,
  provider_id: string,
  of?: { user_id: string; but: string | null },
): Promise<string[]> {
  let query = tx.deleteFrom('sessions').where('provider_id', '=', provider_id)
  if (of) query = query.where('user_id', '=', of.user_id)
  if (of && of.but !== null) query = query.where('id', '!=', of.but)
  return (await query.returning('id').execute()).map(row => row.id)
}
