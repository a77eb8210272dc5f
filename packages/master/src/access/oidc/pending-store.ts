import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../../database/database.ts'
import type { Tables } from '../../database/tables.ts'

export type PendingRow = Selectable<Tables['pending_logins']>

export async function insertPending(tx: Tx, row: PendingRow): Promise<void> {
  await tx.insertInto('pending_logins').values(row).execute()
}

export async function isPending(db: Queryable, state_hash: string): Promise<boolean> {
  const query = db.selectFrom('pending_logins').select('state_hash').where('state_hash', '=', state_hash)
  return (await query.executeTakeFirst()) !== undefined
}

/** Takes the log-in away; of two that race for it one gets it. */
export async function takePending(tx: Tx, state_hash: string): Promise<PendingRow | undefined> {
  return await tx
    .deleteFrom('pending_logins')
    .where('state_hash', '=', state_hash)
    .returningAll()
    .executeTakeFirst()
}

export async function deletePendingBefore(tx: Tx, now: string): Promise<void> {
  await tx.deleteFrom('pending_logins').where('expires_at', '<=', now).execute()
}

/** All, or those of one address. */
export async function countPending(db: Queryable, address?: string): Promise<number> {
  let query = db.selectFrom('pending_logins').select(eb => eb.fn.countAll<number>().as('count'))
  if (address !== undefined) query = query.where('address', '=', address)
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function deleteOldestPending(tx: Tx): Promise<void> {
  await tx
    .deleteFrom('pending_logins')
    .where('state_hash', '=', eb =>
      eb
        .selectFrom('pending_logins')
        .select('state_hash')
        .orderBy('created_at')
        .orderBy('state_hash')
        .limit(1),
    )
    .execute()
}
