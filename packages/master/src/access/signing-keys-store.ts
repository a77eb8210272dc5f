import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Tables } from '../database/tables.ts'

export type SigningKeyRow = Selectable<Tables['signing_keys']>

const ISSUER_FACT = 'token_issuer'

/** The newest last. */
export async function signingKeys(db: Queryable): Promise<SigningKeyRow[]> {
  return await db.selectFrom('signing_keys').selectAll().orderBy('created_at').orderBy('id').execute()
}

export async function insertSigningKey(tx: Tx, row: SigningKeyRow): Promise<void> {
  await tx.insertInto('signing_keys').values(row).execute()
}

/** Signs no more; what it signed is good until its own end. */
export async function retireSigningKeys(tx: Tx, retired_at: string, but: string): Promise<void> {
  await tx
    .updateTable('signing_keys')
    .set({ retired_at })
    .where('retired_at', 'is', null)
    .where('id', '!=', but)
    .execute()
}

export async function deleteSigningKeysRetiredBefore(tx: Tx, time: string): Promise<void> {
  await tx.deleteFrom('signing_keys').where('retired_at', '<', time).execute()
}

/** Names this installation in its tokens; made once. */
export async function issuerOf(tx: Tx, made: string): Promise<string> {
  const known = await tx
    .selectFrom('instance_facts')
    .select('value')
    .where('key', '=', ISSUER_FACT)
    .executeTakeFirst()
  if (known) return known.value
  await tx.insertInto('instance_facts').values({ key: ISSUER_FACT, value: made }).execute()
  return made
}
