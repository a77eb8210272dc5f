import type { Queryable, Tx } from '../database/database.ts'

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
