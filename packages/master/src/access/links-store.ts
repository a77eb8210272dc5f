import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'
import type { Reach } from './caller.ts'
import { inReach } from './reach-query.ts'

export type InvitationRow = Selectable<Tables['invitations']>
export type ResetLinkRow = Selectable<Tables['reset_links']>

// --- Invitations ---

export async function insertInvitation(tx: Tx, row: InvitationRow): Promise<void> {
  await tx.insertInto('invitations').values(row).execute()
}

export async function invitationById(db: Queryable, id: string): Promise<InvitationRow | undefined> {
  return await db.selectFrom('invitations').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Takes the invitation away; of two that race for it one gets it. */
export async function takeInvitation(tx: Tx, token_hash: string): Promise<InvitationRow | undefined> {
  return await tx
    .deleteFrom('invitations')
    .where('token_hash', '=', token_hash)
    .returningAll()
    .executeTakeFirst()
}

export async function deleteInvitation(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('invitations').where('id', '=', id).execute()
}

export async function deleteInvitationsBy(tx: Tx, created_by_ids: readonly string[]): Promise<void> {
  await tx
    .deleteFrom('invitations')
    .where('created_by_id', 'in', [...created_by_ids])
    .execute()
}

/** Those that ended, and those with the same e-mail in the same place, which a new one replaces. */
export async function clearInvitations(
  tx: Tx,
  now: string,
  same: Pick<InvitationRow, 'email' | 'organization_id' | 'workspace_id'>,
): Promise<void> {
  const { email, organization_id, workspace_id } = same
  await tx.deleteFrom('invitations').where('expires_at', '<=', now).execute()
  await tx
    .deleteFrom('invitations')
    .where('email', '=', email)
    .where('organization_id', organization_id === null ? 'is' : '=', organization_id)
    .where('workspace_id', workspace_id === null ? 'is' : '=', workspace_id)
    .execute()
}

const live = (db: Queryable, reach: Reach, now: string) =>
  db.selectFrom('invitations').where('expires_at', '>', now).where(inReach(reach))

export async function listInvitations(
  db: Queryable,
  reach: Reach,
  now: string,
  slice: Slice,
): Promise<InvitationRow[]> {
  const query = live(db, reach, now).selectAll().orderBy('id')
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

export async function countInvitations(db: Queryable, reach: Reach, now: string): Promise<number> {
  const query = live(db, reach, now).select(eb => eb.fn.countAll<number>().as('count'))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

/** Those of an organization with all its workspaces; null: those of the instance itself. */
export async function countInvitationsOf(
  db: Queryable,
  organization_id: string | null,
  now: string,
): Promise<number> {
  const query = db
    .selectFrom('invitations')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('expires_at', '>', now)
    .where('organization_id', organization_id === null ? 'is' : '=', organization_id)
  return Number((await query.executeTakeFirstOrThrow()).count)
}

// --- Links that set a new password ---

/** One for each user: a new link ends the one before. */
export async function replaceResetLink(tx: Tx, row: ResetLinkRow): Promise<void> {
  await deleteResetLinks(tx, row.user_id)
  await tx.insertInto('reset_links').values(row).execute()
}

export async function deleteResetLinks(tx: Tx, user_id: string): Promise<void> {
  await tx.deleteFrom('reset_links').where('user_id', '=', user_id).execute()
}

export async function resetLinkByHash(db: Queryable, token_hash: string): Promise<ResetLinkRow | undefined> {
  return await db
    .selectFrom('reset_links')
    .selectAll()
    .where('token_hash', '=', token_hash)
    .executeTakeFirst()
}

/** Takes the link away; of two that race for it one gets it. */
export async function takeResetLink(tx: Tx, token_hash: string): Promise<ResetLinkRow | undefined> {
  return await tx
    .deleteFrom('reset_links')
    .where('token_hash', '=', token_hash)
    .returningAll()
    .executeTakeFirst()
}

export async function invitationByHash(
  db: Queryable,
  token_hash: string,
): Promise<InvitationRow | undefined> {
  return await db
    .selectFrom('invitations')
    .selectAll()
    .where('token_hash', '=', token_hash)
    .executeTakeFirst()
}
