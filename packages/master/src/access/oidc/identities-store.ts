import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../../database/database.ts'
import type { Tables } from '../../database/tables.ts'

export type IdentityRow = Selectable<Tables['identities']>

export async function insertIdentity(tx: Tx, row: IdentityRow): Promise<void> {
  await tx.insertInto('identities').values(row).execute()
}

export async function identityBySubject(
  db: Queryable,
  issuer: string,
  subject: string,
): Promise<IdentityRow | undefined> {
  const query = db.selectFrom('identities').selectAll().where('issuer', '=', issuer)
  return await query.where('subject', '=', subject).executeTakeFirst()
}

/** Bounded by LIMITS.identities_per_user. */
export async function identitiesOf(db: Queryable, user_id: string): Promise<IdentityRow[]> {
  const query = db.selectFrom('identities').selectAll().where('user_id', '=', user_id)
  return await query.orderBy('created_at').orderBy('id').execute()
}

export async function touchIdentity(
  tx: Tx,
  id: string,
  change: Pick<IdentityRow, 'provider_id' | 'last_login_at'>,
): Promise<void> {
  await tx.updateTable('identities').set(change).where('id', '=', id).execute()
}

export async function deleteIdentity(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('identities').where('id', '=', id).execute()
}

/** Identities outlive a provider: they are bound to its issuer. */
export async function leaveProvider(tx: Tx, provider_id: string): Promise<void> {
  await tx
    .updateTable('identities')
    .set({ provider_id: null })
    .where('provider_id', '=', provider_id)
    .execute()
}
