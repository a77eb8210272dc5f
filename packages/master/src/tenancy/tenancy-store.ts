import type { Insertable, Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import { prepared } from '../database/prepared.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'

export type OrganizationRow = Selectable<Tables['organizations']>
export type WorkspaceRow = Selectable<Tables['workspaces']>
interface Naming {
  readonly name: string
  readonly slug: string
}

// --- Organizations ---

/** Those that were deleted are not there for anybody. */
const liveOrganizations = (db: Queryable) => db.selectFrom('organizations').where('deleted_at', 'is', null)

/** Which rows a list shows: null for all of them. */
type Within = readonly string[] | null

export async function listOrganizations(
  db: Queryable,
  ids: Within,
  slice: Slice,
): Promise<OrganizationRow[]> {
  if (ids?.length === 0) return []
  let query = liveOrganizations(db).selectAll().orderBy('created_at').orderBy('id')
  if (ids !== null) query = query.where('id', 'in', [...ids])
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

export async function countOrganizations(db: Queryable, ids: Within): Promise<number> {
  if (ids?.length === 0) return 0
  let query = liveOrganizations(db).select(eb => eb.fn.countAll<number>().as('count'))
  if (ids !== null) query = query.where('id', 'in', [...ids])
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function organizationById(db: Queryable, id: string): Promise<OrganizationRow | undefined> {
  return await liveOrganizations(db).selectAll().where('id', '=', id).executeTakeFirst()
}

export async function organizationBySlug(db: Queryable, slug: string): Promise<OrganizationRow | undefined> {
  return await liveOrganizations(db).selectAll().where('slug', '=', slug).executeTakeFirst()
}

export async function insertOrganization(tx: Tx, row: Insertable<Tables['organizations']>): Promise<void> {
  await tx.insertInto('organizations').values(row).execute()
}

export async function updateOrganization(
  tx: Tx,
  id: string,
  change: Pick<OrganizationRow, 'name' | 'slug' | 'settings_json'>,
): Promise<void> {
  await tx.updateTable('organizations').set(change).where('id', '=', id).execute()
}

// --- Workspaces ---

const liveWorkspaces = (db: Queryable) => db.selectFrom('workspaces').where('deleted_at', 'is', null)

export interface WorkspaceFilter {
  /** Null: whatever organization. */
  readonly organization_id: string | null
  /** A workspace is in the list when it is one of these, or in one of these organizations; null: all are. */
  readonly reach: {
    readonly organization_ids: readonly string[]
    readonly workspace_ids: readonly string[]
  } | null
}

function filtered(db: Queryable, { organization_id, reach }: WorkspaceFilter) {
  let query = liveWorkspaces(db)
  if (organization_id !== null) query = query.where('organization_id', '=', organization_id)
  if (reach === null) return query
  return query.where(eb =>
    eb.or([
      ...(reach.organization_ids.length > 0
        ? [eb('organization_id', 'in', [...reach.organization_ids])]
        : []),
      ...(reach.workspace_ids.length > 0 ? [eb('id', 'in', [...reach.workspace_ids])] : []),
    ]),
  )
}

/** What somebody with one role asks: the query is the same each time. */
const oneWorkspace = prepared<{ id: string }, WorkspaceRow>((db, value) =>
  liveWorkspaces(db).selectAll().where('id', '=', value('id')),
)
const workspacesOfOrganization = prepared<{ organization_id: string } & Slice, WorkspaceRow>((db, value) =>
  liveWorkspaces(db)
    .selectAll()
    .where('organization_id', '=', value('organization_id'))
    .orderBy('created_at')
    .orderBy('id')
    .limit(value('limit'))
    .offset(value('offset')),
)

export async function listWorkspaces(
  db: Queryable,
  filter: WorkspaceFilter,
  slice: Slice,
): Promise<WorkspaceRow[]> {
  const only = onlyPlace(filter)
  if (only?.workspace_id !== undefined)
    return slice.offset === 0 ? await oneWorkspace(db, { id: only.workspace_id }) : []
  if (only?.organization_id !== undefined)
    return await workspacesOfOrganization(db, { organization_id: only.organization_id, ...slice })
  const query = filtered(db, filter).selectAll().orderBy('created_at').orderBy('id')
  return await query.limit(slice.limit).offset(slice.offset).execute()
}

/** The one workspace, or the one organization, that the filter admits; null where it is more than that. */
function onlyPlace({
  organization_id,
  reach,
}: WorkspaceFilter): { workspace_id?: string; organization_id?: string } | null {
  if (organization_id !== null || reach === null) return null
  const [workspace_id, ...workspaces] = reach.workspace_ids
  const [home, ...homes] = reach.organization_ids
  if (workspaces.length > 0 || homes.length > 0) return null
  if (workspace_id !== undefined && home === undefined) return { workspace_id }
  return home !== undefined && workspace_id === undefined ? { organization_id: home } : null
}

export async function countWorkspaces(db: Queryable, filter: WorkspaceFilter): Promise<number> {
  const query = filtered(db, filter).select(eb => eb.fn.countAll<number>().as('count'))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function organizationOfWorkspace(db: Queryable, id: string): Promise<string | undefined> {
  const query = liveWorkspaces(db).select('organization_id').where('id', '=', id)
  return (await query.executeTakeFirst())?.organization_id
}

/** `organization_ids` null: of all. */
export async function workspaceIds(
  db: Queryable,
  organization_ids: readonly string[] | null,
  limit: number,
): Promise<string[]> {
  let query = liveWorkspaces(db).select('id').orderBy('id').limit(limit)
  if (organization_ids !== null) query = query.where('organization_id', 'in', [...organization_ids])
  return (await query.execute()).map(row => row.id)
}

export async function workspaceById(db: Queryable, id: string): Promise<WorkspaceRow | undefined> {
  return await liveWorkspaces(db).selectAll().where('id', '=', id).executeTakeFirst()
}

/** The one of the organization that has this slug, or this name. */
export async function workspaceBy(
  db: Queryable,
  organization_id: string,
  field: 'slug' | 'name',
  value: string,
): Promise<WorkspaceRow | undefined> {
  return await liveWorkspaces(db)
    .selectAll()
    .where('organization_id', '=', organization_id)
    .where(field, '=', value)
    .executeTakeFirst()
}

export async function insertWorkspace(tx: Tx, row: Insertable<Tables['workspaces']>): Promise<void> {
  await tx.insertInto('workspaces').values(row).execute()
}

export async function updateWorkspace(
  tx: Tx,
  id: string,
  change: Naming & { readonly agent_allowed_cidrs_json: string | null },
): Promise<void> {
  await tx.updateTable('workspaces').set(change).where('id', '=', id).execute()
}

/** An update that changes nothing takes the row's lock on PostgreSQL as FOR UPDATE does; SQLite has one writer anyway. */
export async function lockWorkspaceRow(tx: Tx, id: string): Promise<WorkspaceRow | undefined> {
  return await tx
    .updateTable('workspaces')
    .set(eb => ({ generation: eb.ref('generation') }))
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst()
}

export async function raiseGeneration(tx: Tx, id: string) {
  return await tx
    .updateTable('workspaces')
    .set(eb => ({ generation: eb('generation', '+', 1) }))
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returning(['epoch', 'generation'])
    .executeTakeFirst()
}

export async function raiseReleaseNumber(tx: Tx, id: string) {
  return await tx
    .updateTable('workspaces')
    .set(eb => ({ release_number: eb('release_number', '+', 1) }))
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returning('release_number')
    .executeTakeFirst()
}

// --- Deletion ---

/** From here on it is there for nobody. Its slug is free again: the one that it gets is none that a person can give. */
export async function markWorkspaces(tx: Tx, ids: readonly string[], deleted_at: string): Promise<void> {
  if (ids.length === 0) return
  await tx
    .updateTable('workspaces')
    .set(eb => ({ deleted_at, slug: eb(eb.val('deleted:'), '||', eb.ref('id')) }))
    .where('id', 'in', [...ids])
    .execute()
}

export async function markOrganization(tx: Tx, id: string, deleted_at: string): Promise<void> {
  const change = { deleted_at, slug: `deleted:${id}` }
  await tx.updateTable('organizations').set(change).where('id', '=', id).execute()
}

/** A workspace that was deleted and has rows yet. */
export async function markedWorkspace(db: Queryable): Promise<string | undefined> {
  const query = db.selectFrom('workspaces').select('id').where('deleted_at', 'is not', null)
  return (await query.orderBy('deleted_at').orderBy('id').limit(1).executeTakeFirst())?.id
}

/** When nothing refers to it any more. */
export async function deleteWorkspaceRow(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('workspaces').where('id', '=', id).where('deleted_at', 'is not', null).execute()
}

/** Those that were deleted and whose workspaces are gone. */
export async function deleteOrganizationRows(tx: Tx): Promise<void> {
  await tx
    .deleteFrom('organizations')
    .where('deleted_at', 'is not', null)
    .where('id', 'not in', eb => eb.selectFrom('workspaces').select('organization_id'))
    .execute()
}
