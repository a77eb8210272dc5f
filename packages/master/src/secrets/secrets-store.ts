import type { Queryable, Tx } from '../database/database.ts'

export interface DataKeyRow {
  readonly id: string
  readonly wrapped_key: string
  readonly retired_at: string | null
}

/** All data keys, the newest last. */
export async function dataKeys(db: Queryable): Promise<DataKeyRow[]> {
  return await db.selectFrom('data_keys').select(['id', 'wrapped_key', 'retired_at']).orderBy('id').execute()
}

export async function insertDataKey(
  tx: Tx,
  row: { id: string; wrapped_key: string; created_at: string },
): Promise<void> {
  await tx
    .insertInto('data_keys')
    .values({ ...row, retired_at: null })
    .execute()
}
