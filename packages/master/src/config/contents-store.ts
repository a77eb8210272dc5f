import type { Queryable, Tx } from '../database/database.ts'

/** How many resources of each kind there are, without those that were deleted. */
export async function countByKind(
  db: Queryable,
  workspace_ids: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  if (workspace_ids.length === 0) return new Map()
  const rows = await db
    .selectFrom('resources')
    .select(['kind', eb => eb.fn.countAll<number>().as('count')])
    .where('workspace_id', 'in', [...workspace_ids])
    .where('deleted_at', 'is', null)
    .groupBy('kind')
    .execute()
  return new Map(rows.map(row => [row.kind, Number(row.count)]))
}

/** Also those of resources that were deleted. */
export async function countVersions(db: Queryable, workspace_ids: readonly string[]): Promise<number> {
  if (workspace_ids.length === 0) return 0
  // By way of the resources: versions are found by them, not by their workspace.
  const query = db
    .selectFrom('resources')
    .innerJoin('resource_versions', 'resource_versions.resource_id', 'resources.id')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('resources.workspace_id', 'in', [...workspace_ids])
  return Number((await query.executeTakeFirstOrThrow()).count)
}

export async function someResources(tx: Tx, workspace_id: string, limit: number): Promise<string[]> {
  const query = tx.selectFrom('resources').select('id').where('workspace_id', '=', workspace_id)
  // In the order of an index: without one PostgreSQL reads past all that was deleted before.
  return (await query.orderBy('kind').orderBy('id').limit(limit).execute()).map(row => row.id)
}

/** The oldest versions of a resource, at most `limit`; answers how many. */
export async function deleteVersions(tx: Tx, resource_id: string, limit: number): Promise<number> {
  // One resource at a time: of many at once PostgreSQL may read the whole table in each step.
  const found = tx.selectFrom('resource_versions').select('id').where('resource_id', '=', resource_id)
  const rows = await found.orderBy('version_number').limit(limit).execute()
  const ids = rows.map(row => row.id)
  if (ids.length > 0) await tx.deleteFrom('resource_versions').where('id', 'in', ids).execute()
  return ids.length
}

/** With what points from them, and what they claim. */
export async function deleteResources(tx: Tx, ids: readonly string[]): Promise<void> {
  const gone = [...ids]
  await tx.deleteFrom('resource_claims').where('resource_id', 'in', gone).execute()
  await tx
    .deleteFrom('resource_references')
    .where('from_kind', 'in', eb => eb.selectFrom('resources').select('kind').where('id', 'in', gone))
    .where('from_id', 'in', gone)
    .execute()
  await tx.deleteFrom('resources').where('id', 'in', gone).execute()
}
