import type { Insertable, Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Tables } from '../database/tables.ts'

export type OrganizationRow = Selectable<Tables['organizations']>
export type WorkspaceRow = Selectable<Tables['workspaces']>
interface Slice {
  readonly limit: number
  readonly offset: number
}
interface Naming {
  readonly name: string
  readonly slug: string
}

// --- Organizations ---

export async function listOrganizations(db: Queryable, slice: Slice): Promise<OrganizationRow[]> {
  const query = db.selectFrom('organizations').selectAll().orderBy('created_at').orderBy('id')
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

export async function countOrganizations(db: Queryable): Promise<number> {
  const query = db.selectFrom('organizations').select(eb => eb.fn.countAll<number>().as('count'))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function organizationById(db: Queryable, id: string): Promise<OrganizationRow | undefined> {
  return await db.selectFrom('organizations').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function organizationBySlug(db: Queryable, slug: string): Promise<OrganizationRow | undefined> {
  return await db.selectFrom('organizations').selectAll().where('slug', '=', slug).executeTakeFirst()
}

export async function insertOrganization(tx: Tx, row: Insertable<Tables['organizations']>): Promise<void> {
  await tx.insertInto('organizations').values(row).execute()
}

export async function renameOrganization(tx: Tx, id: string, naming: Naming): Promise<void> {
  await tx.updateTable('organizations').set(naming).where('id', '=', id).execute()
}

export async function deleteOrganization(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('organizations').where('id', '=', id).execute()
}

// --- Workspaces ---

const within = (organization_id: string | undefined) =>
  organization_id === undefined ? {} : { organization_id }

export async function listWorkspaces(
  db: Queryable,
  organization_id: string | undefined,
  slice: Slice,
): Promise<WorkspaceRow[]> {
  const query = db
    .selectFrom('workspaces')
    .selectAll()
    .where(eb => eb.and(within(organization_id)))
    .orderBy('created_at')
    .orderBy('id')
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

export async function countWorkspaces(db: Queryable, organization_id: string | undefined): Promise<number> {
  const query = db
    .selectFrom('workspaces')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where(eb => eb.and(within(organization_id)))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function workspaceById(db: Queryable, id: string): Promise<WorkspaceRow | undefined> {
  return await db.selectFrom('workspaces').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function workspaceBySlug(
  db: Queryable,
  organization_id: string,
  slug: string,
): Promise<WorkspaceRow | undefined> {
  return await db
    .selectFrom('workspaces')
    .selectAll()
    .where('organization_id', '=', organization_id)
    .where('slug', '=', slug)
    .executeTakeFirst()
}

export async function insertWorkspace(tx: Tx, row: Insertable<Tables['workspaces']>): Promise<void> {
  await tx.insertInto('workspaces').values(row).execute()
}

export async function renameWorkspace(tx: Tx, id: string, naming: Naming): Promise<void> {
  await tx.updateTable('workspaces').set(naming).where('id', '=', id).execute()
}

export async function deleteWorkspace(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('workspaces').where('id', '=', id).execute()
}

/** An update that changes nothing takes the row's lock on PostgreSQL as FOR UPDATE does; SQLite has one writer anyway. */
export async function lockWorkspaceRow(tx: Tx, id: string): Promise<WorkspaceRow | undefined> {
  return await tx
    .updateTable('workspaces')
    .set(eb => ({ generation: eb.ref('generation') }))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
}

export async function raiseGeneration(tx: Tx, id: string) {
  return await tx
    .updateTable('workspaces')
    .set(eb => ({ generation: eb('generation', '+', 1) }))
    .where('id', '=', id)
    .returning(['epoch', 'generation'])
    .executeTakeFirst()
}

export async function raiseReleaseNumber(tx: Tx, id: string) {
  return await tx
    .updateTable('workspaces')
    .set(eb => ({ release_number: eb('release_number', '+', 1) }))
    .where('id', '=', id)
    .returning('release_number')
    .executeTakeFirst()
}
