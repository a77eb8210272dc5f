import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'
import type { Reach } from './caller.ts'
import { inReach } from './reach-query.ts'

export type ApiKeyRow = Selectable<Tables['api_keys']>

export async function insertApiKey(tx: Tx, row: ApiKeyRow): Promise<void> {
  await tx.insertInto('api_keys').values(row).execute()
}

export async function apiKeyByHash(db: Queryable, key_hash: string): Promise<ApiKeyRow | undefined> {
  return await db.selectFrom('api_keys').selectAll().where('key_hash', '=', key_hash).executeTakeFirst()
}

export async function apiKeyById(db: Queryable, id: string): Promise<ApiKeyRow | undefined> {
  return await db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function listApiKeys(db: Queryable, reach: Reach, slice: Slice): Promise<ApiKeyRow[]> {
  const query = db.selectFrom('api_keys').selectAll().where(inReach(reach)).orderBy('id')
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

export async function countApiKeys(db: Queryable, reach: Reach): Promise<number> {
  const query = db
    .selectFrom('api_keys')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where(inReach(reach))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

/** Those of an organization with all its workspaces; null: those of the instance itself. */
export async function countApiKeysOf(db: Queryable, organization_id: string | null): Promise<number> {
  const query = db
    .selectFrom('api_keys')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('organization_id', organization_id === null ? 'is' : '=', organization_id)
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function deleteApiKey(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('api_keys').where('id', '=', id).execute()
}

/** The keys that somebody made, and those that these keys made; answers their ids. Bounded by LIMITS.api_keys. */
export async function deleteApiKeysBy(tx: Tx, created_by_id: string): Promise<string[]> {
  const gone: string[] = []
  for (let makers = [created_by_id]; makers.length > 0; ) {
    const query = tx.deleteFrom('api_keys').where('created_by_id', 'in', makers)
    makers = (await query.returning('id').execute()).map(row => row.id)
    gone.push(...makers)
  }
  return gone
}

export async function touchApiKey(tx: Tx, id: string, last_used_at: string): Promise<void> {
  await tx.updateTable('api_keys').set({ last_used_at }).where('id', '=', id).execute()
}
