import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../../database/database.ts'
import type { Slice } from '../../database/slice.ts'
import type { Tables } from '../../database/tables.ts'

export type ProviderRow = Selectable<Tables['identity_providers']>

export async function insertProvider(tx: Tx, row: ProviderRow): Promise<void> {
  await tx.insertInto('identity_providers').values(row).execute()
}

export async function providerById(db: Queryable, id: string): Promise<ProviderRow | undefined> {
  return await db.selectFrom('identity_providers').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function providerByName(db: Queryable, name: string): Promise<ProviderRow | undefined> {
  return await db.selectFrom('identity_providers').selectAll().where('name', '=', name).executeTakeFirst()
}

export async function providersById(db: Queryable, ids: readonly string[]): Promise<ProviderRow[]> {
  if (ids.length === 0) return []
  return await db
    .selectFrom('identity_providers')
    .selectAll()
    .where('id', 'in', [...ids])
    .execute()
}

export async function updateProvider(tx: Tx, { id, ...change }: ProviderRow): Promise<void> {
  await tx.updateTable('identity_providers').set(change).where('id', '=', id).execute()
}

export async function deleteProvider(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('identity_providers').where('id', '=', id).execute()
}

export async function listProviders(
  db: Queryable,
  slice: Slice,
  only: 'all' | 'enabled',
): Promise<{ rows: ProviderRow[]; total: number }> {
  const all = db.selectFrom('identity_providers')
  const query = only === 'all' ? all : all.where('enabled', '=', 1)
  const rows = await query.selectAll().orderBy('name').limit(slice.limit).offset(slice.offset).execute()
  const { total } = await query.select(eb => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return { rows, total: Number(total) }
}
