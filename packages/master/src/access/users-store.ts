import type { Selectable, Updateable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'
import type { Reach } from './caller.ts'
import { inReach } from './reach-query.ts'

export type UserRow = Selectable<Tables['users']>

export async function insertUser(tx: Tx, row: UserRow): Promise<void> {
  await tx.insertInto('users').values(row).execute()
}

export async function userById(db: Queryable, id: string): Promise<UserRow | undefined> {
  return await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function userByEmail(db: Queryable, email: string): Promise<UserRow | undefined> {
  return await db.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()
}

export async function updateUser(tx: Tx, id: string, change: Updateable<Tables['users']>): Promise<void> {
  await tx.updateTable('users').set(change).where('id', '=', id).execute()
}

/** Sessions, roles and links go with it. */
export async function deleteUser(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('users').where('id', '=', id).execute()
}

export async function countAllUsers(db: Queryable): Promise<number> {
  const query = db.selectFrom('users').select(eb => eb.fn.countAll<number>().as('count'))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

/** Those who have a role in the reach. */
function usersIn(db: Queryable, reach: Reach) {
  const query = db.selectFrom('users')
  if (reach.everything) return query
  return query.where('id', 'in', eb => eb.selectFrom('role_bindings').select('user_id').where(inReach(reach)))
}

export async function listUsers(db: Queryable, reach: Reach, slice: Slice): Promise<UserRow[]> {
  const query = usersIn(db, reach).selectAll().orderBy('email')
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

export async function countUsers(db: Queryable, reach: Reach): Promise<number> {
  const query = usersIn(db, reach).select(eb => eb.fn.countAll<number>().as('count'))
  return Number((await query.executeTakeFirstOrThrow()).count)
}
