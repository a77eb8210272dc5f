import type { Kind, Principal } from '@nxmesh/contract'
import { sql } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import { prepared } from '../database/prepared.ts'
import { type Slice, totalOf } from '../database/slice.ts'
import type { NamedResource, ResourceData } from './config-rules.ts'

export interface ResourceRow {
  readonly id: string
  readonly workspace_id: string
  readonly kind: string
  readonly name: string
  readonly version_number: number
  readonly data_json: string
  readonly created_at: string
  readonly updated_at: string
  readonly deleted_at: string | null
}

/** What a resource points to, as it is indexed. */
export interface ReferenceRow {
  readonly to_kind: Kind | 'host' | 'host_port'
  readonly to_id: string
}

/** Rows of one statement: far below the limits of both engines for parameters. */
const ROWS_AT_ONCE = 300

const resourceById = prepared<{ kind: Kind; id: string }, ResourceRow>((db, value) =>
  db
    .selectFrom('resources')
    .selectAll()
    .where('id', '=', value('id'))
    .where('kind', '=', value('kind'))
    .where('deleted_at', 'is', null),
)

export async function findResource(q: Queryable, kind: Kind, id: string): Promise<ResourceRow | undefined> {
  return (await resourceById(q, { kind, id }))[0]
}

/** Also one that is deleted: its versions stay readable. */
export async function workspaceOfResource(q: Queryable, kind: Kind, id: string): Promise<string | undefined> {
  const row = await q
    .selectFrom('resources')
    .select('workspace_id')
    .where('id', '=', id)
    .where('kind', '=', kind)
    .executeTakeFirst()
  return row?.workspace_id
}

interface ListedResources extends Slice {
  readonly kind: Kind
  readonly workspace_id: string
}

const ofWorkspace = (db: Queryable, kind: Kind, workspace_id: string) =>
  db
    .selectFrom('resources')
    .where('kind', '=', kind)
    .where('deleted_at', 'is', null)
    .where('workspace_id', '=', workspace_id)

/** Those of one workspace are what is asked most. */
const listOfWorkspace = prepared<ListedResources, ResourceRow>((db, value) =>
  ofWorkspace(db, value('kind'), value('workspace_id'))
    .selectAll()
    .orderBy('id')
    .limit(value('limit'))
    .offset(value('offset')),
)
const countOfWorkspace = prepared<Pick<ListedResources, 'kind' | 'workspace_id'>, { total: number }>(
  (db, value) =>
    ofWorkspace(db, value('kind'), value('workspace_id')).select(eb => eb.fn.countAll<number>().as('total')),
)

export async function listResources(
  q: Queryable,
  kind: Kind,
  workspace_ids: readonly string[],
  slice: Slice,
): Promise<{ items: ResourceRow[]; total: number }> {
  const [workspace_id] = workspace_ids
  if (workspace_id === undefined) return { items: [], total: 0 }
  if (workspace_ids.length === 1) {
    const items = await listOfWorkspace(q, { kind, workspace_id, ...slice })
    const total = await totalOf(slice, items.length, () => countResources(q, workspace_id, kind))
    return { items, total }
  }
  const found = q
    .selectFrom('resources')
    .where('kind', '=', kind)
    .where('deleted_at', 'is', null)
    .where('workspace_id', 'in', [...workspace_ids])
  const items = await found.selectAll().orderBy('id').limit(slice.limit).offset(slice.offset).execute()
  const { total } = await found.select(eb => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return { items, total: Number(total) }
}

export async function countResources(q: Queryable, workspace_id: string, kind: Kind): Promise<number> {
  const [row] = await countOfWorkspace(q, { kind, workspace_id })
  return Number(row?.total ?? 0)
}

/** Names of resources that exist, in the order of their ids. */
export async function namesOf(q: Queryable, ids: readonly string[]): Promise<NamedResource[]> {
  if (ids.length === 0) return []
  const rows = await q
    .selectFrom('resources')
    .select(['id', 'kind', 'name', 'workspace_id'])
    .where('id', 'in', [...ids])
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .execute()
  return rows.map(row => ({ kind: row.kind as Kind, id: row.id, name: row.name }))
}

/** Which of these ids exist in the workspace with this kind. */
export async function existing(
  q: Queryable,
  workspace_id: string,
  kind: Kind,
  ids: readonly string[],
): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows = await q
    .selectFrom('resources')
    .select('id')
    .where('id', 'in', [...ids])
    .where('workspace_id', '=', workspace_id)
    .where('kind', '=', kind)
    .where('deleted_at', 'is', null)
    .execute()
  return new Set(rows.map(row => row.id))
}

export async function insertResource(tx: Tx, row: ResourceRow): Promise<void> {
  await tx.insertInto('resources').values(row).execute()
}

export async function updateResource(
  tx: Tx,
  id: string,
  change: Partial<Pick<ResourceRow, 'name' | 'version_number' | 'data_json' | 'updated_at' | 'deleted_at'>>,
): Promise<void> {
  await tx.updateTable('resources').set(change).where('id', '=', id).execute()
}

// --- Versions ---

export interface VersionRow {
  readonly id: string
  readonly workspace_id: string
  readonly resource_type: string
  readonly resource_id: string
  readonly version_number: number
  readonly data_json: string | null
  readonly checksum: string
  readonly created_by_type: string
  readonly created_by_id: string | null
  readonly created_at: string
  readonly change_summary: string
}

export async function insertVersion(
  tx: Tx,
  row: Omit<VersionRow, 'created_by_type' | 'created_by_id'> & { created_by: Principal },
): Promise<void> {
  const { created_by, ...rest } = row
  const author = { created_by_type: created_by.type, created_by_id: created_by.id }
  await tx
    .insertInto('resource_versions')
    .values({ ...rest, ...author })
    .execute()
}

/** Newest first. */
export async function listVersions(
  q: Queryable,
  resource_id: string,
  slice: Slice,
): Promise<{ items: VersionRow[]; total: number }> {
  const found = q.selectFrom('resource_versions').where('resource_id', '=', resource_id)
  const items = await found
    .selectAll()
    .orderBy('version_number', 'desc')
    .limit(slice.limit)
    .offset(slice.offset)
    .execute()
  const { total } = await found.select(eb => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return { items, total: Number(total) }
}

export async function findVersion(
  q: Queryable,
  resource_id: string,
  version_number: number,
): Promise<VersionRow | undefined> {
  return await q
    .selectFrom('resource_versions')
    .selectAll()
    .where('resource_id', '=', resource_id)
    .where('version_number', '=', version_number)
    .executeTakeFirst()
}

interface VersionData {
  readonly resource_type: string
  readonly resource_id: string
  readonly version_number: number
  readonly data_json: string | null
}

/** The data of many versions, in no order; those that do not exist are left out. */
export async function readVersions(
  q: Queryable,
  wanted: readonly { id: string; version_number: number }[],
): Promise<VersionData[]> {
  const found: VersionData[] = []
  for (let from = 0; from < wanted.length; from += ROWS_AT_ONCE) {
    const rows = wanted
      .slice(from, from + ROWS_AT_ONCE)
      .map(one => sql`(cast(${one.id} as text), cast(${one.version_number} as integer))`)
    const result = await sql<VersionData>`
      with wanted (resource_id, version_number) as (values ${sql.join(rows)})
      select v.resource_type, v.resource_id, v.version_number, v.data_json
      from wanted join resource_versions v
        on v.resource_id = wanted.resource_id and v.version_number = wanted.version_number`.execute(q)
    found.push(...result.rows)
  }
  return found
}

// --- References and claims ---

export async function replaceReferences(
  tx: Tx,
  kind: Kind,
  id: string,
  references: readonly ReferenceRow[],
): Promise<void> {
  await tx.deleteFrom('resource_references').where('from_kind', '=', kind).where('from_id', '=', id).execute()
  const rows = references.map(one => ({ from_kind: kind, from_id: id, ...one }))
  if (rows.length > 0) await tx.insertInto('resource_references').values(rows).execute()
}

/** Ids of the resources that point to one of these, at most `limit`. */
export async function usersOf(
  q: Queryable,
  targets: readonly ReferenceRow[],
  limit: number,
): Promise<string[]> {
  if (targets.length === 0) return []
  const rows = await q
    .selectFrom('resource_references')
    .select('from_id')
    .distinct()
    .where(eb => eb.or(targets.map(one => eb.and({ to_kind: one.to_kind, to_id: one.to_id }))))
    .orderBy('from_id')
    .limit(limit)
    .execute()
  return rows.map(row => row.from_id)
}

export async function claimHolders(
  q: Queryable,
  workspace_id: string,
  claims: readonly string[],
): Promise<{ claim: string; resource_id: string }[]> {
  if (claims.length === 0) return []
  return await q
    .selectFrom('resource_claims')
    .select(['claim', 'resource_id'])
    .where('workspace_id', '=', workspace_id)
    .where('claim', 'in', [...claims])
    .execute()
}

export async function replaceClaims(
  tx: Tx,
  owner: { workspace_id: string; kind: Kind; id: string },
  claims: readonly string[],
): Promise<void> {
  await tx.deleteFrom('resource_claims').where('resource_id', '=', owner.id).execute()
  const rows = claims.map(claim => ({
    workspace_id: owner.workspace_id,
    claim,
    kind: owner.kind,
    resource_id: owner.id,
  }))
  if (rows.length > 0) await tx.insertInto('resource_claims').values(rows).execute()
}

export const parseData = (json: string): ResourceData => JSON.parse(json) as ResourceData
