import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Tables } from '../database/tables.ts'

export type UserRow = Selectable<Tables['users']>
export type SessionRow = Selectable<Tables['sessions']>
export type ApiKeyRow = Selectable<Tables['api_keys']>

// --- Facts of the set-up ---

const TOKEN_FACT = 'setup_token_hash'
const DONE_FACT = 'setup_completed_at'

/** Whether the first administrator was ever made: by the mark, or by a user in a database that lost it. */
export async function isSetUp(db: Queryable): Promise<boolean> {
  const mark = await db
    .selectFrom('instance_facts')
    .select('key')
    .where('key', '=', DONE_FACT)
    .executeTakeFirst()
  if (mark) return true
  return (await db.selectFrom('users').select('id').limit(1).executeTakeFirst()) !== undefined
}

export async function replaceSetupToken(tx: Tx, token_hash: string): Promise<void> {
  await tx.deleteFrom('instance_facts').where('key', '=', TOKEN_FACT).execute()
  await tx.insertInto('instance_facts').values({ key: TOKEN_FACT, value: token_hash }).execute()
}

export async function setupTokenHash(db: Queryable): Promise<string | null> {
  const fact = await db
    .selectFrom('instance_facts')
    .select('value')
    .where('key', '=', TOKEN_FACT)
    .executeTakeFirst()
  return fact?.value ?? null
}

/** Takes the token away; true for the one transaction that got it. */
export async function consumeSetupToken(tx: Tx, token_hash: string): Promise<boolean> {
  const taken = await tx
    .deleteFrom('instance_facts')
    .where('key', '=', TOKEN_FACT)
    .where('value', '=', token_hash)
    .returning('key')
    .execute()
  return taken.length === 1
}

export async function markSetUp(tx: Tx, at: string): Promise<void> {
  await tx.insertInto('instance_facts').values({ key: DONE_FACT, value: at }).execute()
}

// --- Users ---

export async function insertUser(tx: Tx, row: UserRow): Promise<void> {
  await tx.insertInto('users').values(row).execute()
}

export async function userByEmail(db: Queryable, email: string): Promise<UserRow | undefined> {
  return await db.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()
}

// --- Sessions ---

export async function insertSession(tx: Tx, row: SessionRow): Promise<void> {
  await tx.insertInto('sessions').values(row).execute()
}

export async function sessionByHash(db: Queryable, token_hash: string) {
  return await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select([
      'sessions.id',
      'sessions.user_id',
      'sessions.expires_at',
      'users.email',
      'users.name',
      'users.role',
    ])
    .where('sessions.token_hash', '=', token_hash)
    .executeTakeFirst()
}

export async function deleteSession(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('sessions').where('id', '=', id).execute()
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
    .limit(1_000)
    .offset(keep)
    .execute()
  if (surplus.length === 0) return
  const ids = surplus.map(one => one.id)
  await tx.deleteFrom('sessions').where('id', 'in', ids).execute()
}

// --- API keys ---

export async function insertApiKey(tx: Tx, row: ApiKeyRow): Promise<void> {
  await tx.insertInto('api_keys').values(row).execute()
}

export async function apiKeyByHash(db: Queryable, key_hash: string) {
  return await db
    .selectFrom('api_keys')
    .innerJoin('users', 'users.id', 'api_keys.user_id')
    .select(['api_keys.id', 'api_keys.name', 'api_keys.expires_at', 'api_keys.last_used_at', 'users.role'])
    .where('api_keys.key_hash', '=', key_hash)
    .executeTakeFirst()
}

export async function apiKeyById(db: Queryable, id: string): Promise<ApiKeyRow | undefined> {
  return await db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function listApiKeys(
  db: Queryable,
  slice: { limit: number; offset: number },
): Promise<ApiKeyRow[]> {
  return await db
    .selectFrom('api_keys')
    .selectAll()
    .orderBy('created_at')
    .orderBy('id')
    .limit(slice.limit)
    .offset(slice.offset)
    .execute()
}

export async function countApiKeys(db: Queryable): Promise<number> {
  const { count } = await db
    .selectFrom('api_keys')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

export async function deleteApiKey(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('api_keys').where('id', '=', id).execute()
}

export async function touchApiKey(tx: Tx, id: string, last_used_at: string): Promise<void> {
  await tx.updateTable('api_keys').set({ last_used_at }).where('id', '=', id).execute()
}
