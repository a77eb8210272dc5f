import type { CarriedResource, Kind, Principal } from '@nxmesh/contract'
import type { Queryable, Tx } from '../database/database.ts'

/** A resource in a release. */
export interface ItemRef {
  readonly kind: Kind
  readonly id: string
  readonly version_number: number
}

/** Bounds the search for a version to carry. */
const ITEMS_LOOKED_BACK = 50
/** Older refusals are of resources that have newer versions, or are held back by the release already. */
const REFUSED_LOOKED_AT = 1_000

export async function insertRelease(
  tx: Tx,
  row: {
    id: string
    workspace_id: string
    number: number
    created_by: Principal
    created_at: string
    carried: readonly CarriedResource[]
  },
): Promise<void> {
  const { created_by, carried, ...rest } = row
  const author = { created_by_type: created_by.type, created_by_id: created_by.id }
  await tx
    .insertInto('releases')
    .values({ ...rest, ...author, carried_json: JSON.stringify(carried) })
    .execute()
}

/** What the release carries; empty when there is no such release. */
export async function carriedOf(
  q: Queryable,
  workspace_id: string,
  number: number,
): Promise<CarriedResource[]> {
  const row = await q
    .selectFrom('releases')
    .select('carried_json')
    .where('workspace_id', '=', workspace_id)
    .where('number', '=', number)
    .executeTakeFirst()
  return row ? (JSON.parse(row.carried_json) as CarriedResource[]) : []
}

/** The versions of these resources in the newest release. */
export async function openItems(
  q: Queryable,
  workspace_id: string,
  ids: readonly string[],
): Promise<ItemRef[]> {
  if (ids.length === 0) return []
  const rows = await q
    .selectFrom('release_items')
    .select(['kind', 'resource_id', 'version_number'])
    .where('workspace_id', '=', workspace_id)
    .where('resource_id', 'in', [...ids])
    .where('to_number', 'is', null)
    .execute()
  return rows.map(itemOf)
}

/** From release `number` on, the resource is in releases at this version; null: no longer. */
export async function setItem(
  tx: Tx,
  place: { workspace_id: string; kind: Kind; id: string; number: number },
  version_number: number | null,
): Promise<void> {
  const { workspace_id, kind, id: resource_id, number } = place
  await tx
    .updateTable('release_items')
    .set({ to_number: number })
    .where('workspace_id', '=', workspace_id)
    .where('kind', '=', kind)
    .where('resource_id', '=', resource_id)
    .where('to_number', 'is', null)
    .execute()
  if (version_number === null) return
  const row = { workspace_id, kind, resource_id, version_number, from_number: number, to_number: null }
  await tx.insertInto('release_items').values(row).execute()
}

/** Everything in one release. */
export async function itemsOf(q: Queryable, workspace_id: string, number: number): Promise<ItemRef[]> {
  const rows = await q
    .selectFrom('release_items')
    .select(['kind', 'resource_id', 'version_number'])
    .where('workspace_id', '=', workspace_id)
    .where('from_number', '<=', number)
    .where(eb => eb.or([eb('to_number', 'is', null), eb('to_number', '>', number)]))
    .execute()
  return rows.map(itemOf)
}

export interface ItemChange {
  readonly kind: Kind
  readonly id: string
  /** In the later release; null: it is not there. */
  readonly version_number: number | null
}

/** What release `to` has otherwise than release `from` (which is lower; 0: the empty one). */
export async function changesBetween(
  q: Queryable,
  workspace_id: string,
  from: number,
  to: number,
): Promise<ItemChange[]> {
  const columns = ['kind', 'resource_id', 'version_number', 'from_number', 'to_number'] as const
  const touched = q.selectFrom('release_items').select(columns).where('workspace_id', '=', workspace_id)
  // Two queries, each answered by an index of its own.
  const begun = await touched.where('from_number', '>', from).where('from_number', '<=', to).execute()
  const ended = await touched.where('to_number', '>', from).where('to_number', '<=', to).execute()
  const changes = new Map<string, ItemChange>()
  for (const row of [...ended, ...begun]) {
    const kind = row.kind as Kind
    const there = row.from_number <= to && (row.to_number === null || row.to_number > to)
    if (there) changes.set(row.resource_id, { kind, id: row.resource_id, version_number: row.version_number })
    else if (!changes.has(row.resource_id))
      changes.set(row.resource_id, { kind, id: row.resource_id, version_number: null })
  }
  return [...changes.values()]
}

// --- Refused versions ---

export async function insertRefused(
  tx: Tx,
  workspace_id: string,
  refused: readonly ItemRef[],
  origin: { deployment_id: string; created_at: string },
): Promise<void> {
  const rows = refused.map(one => ({
    workspace_id,
    kind: one.kind,
    resource_id: one.id,
    version_number: one.version_number,
    ...origin,
  }))
  if (rows.length > 0)
    await tx
      .insertInto('rejected_versions')
      .values(rows)
      .onConflict(conflict => conflict.doNothing())
      .execute()
}

/** Refused versions that the newest release holds. Hardly anything was ever refused, so it is looked at first. */
export async function refusedInNewest(q: Queryable, workspace_id: string): Promise<ItemRef[]> {
  const rows = await q
    .selectFrom('rejected_versions')
    .select(['kind', 'resource_id', 'version_number'])
    .where('workspace_id', '=', workspace_id)
    .orderBy('created_at', 'desc')
    .limit(REFUSED_LOOKED_AT)
    .execute()
  if (rows.length === 0) return []
  const held = await openItems(q, workspace_id, [...new Set(rows.map(row => row.resource_id))])
  return rows.map(itemOf).filter(one => held.some(open => refKey(open) === refKey(one)))
}

/** `kind/id@version`. */
export const refKey = (one: ItemRef): string => `${one.kind}/${one.id}@${one.version_number}`

export async function refusedOf(
  q: Queryable,
  workspace_id: string,
  ids: readonly string[],
): Promise<ItemRef[]> {
  if (ids.length === 0) return []
  const rows = await q
    .selectFrom('rejected_versions')
    .select(['kind', 'resource_id', 'version_number'])
    .where('workspace_id', '=', workspace_id)
    .where('resource_id', 'in', [...ids])
    .execute()
  return rows.map(itemOf)
}

/** The newest version of a resource that was in a release whose deployment was decided, and that was not refused. */
export async function lastDeployed(
  q: Queryable,
  workspace_id: string,
  kind: Kind,
  id: string,
  isRefused: (version_number: number) => boolean,
): Promise<ItemRef | null> {
  const rows = await q
    .selectFrom('release_items')
    .select(['version_number', 'from_number', 'to_number'])
    .where('workspace_id', '=', workspace_id)
    .where('kind', '=', kind)
    .where('resource_id', '=', id)
    .orderBy('from_number', 'desc')
    .limit(ITEMS_LOOKED_BACK)
    .execute()
  for (const row of rows) {
    if (isRefused(row.version_number)) continue
    if (await wasDecided(q, workspace_id, row)) return { kind, id, version_number: row.version_number }
  }
  return null
}

async function wasDecided(
  q: Queryable,
  workspace_id: string,
  item: { from_number: number; to_number: number | null },
): Promise<boolean> {
  let found = q
    .selectFrom('deployments')
    .select('id')
    .where('workspace_id', '=', workspace_id)
    .where('release_number', '>=', item.from_number)
    .where('decided_at', 'is not', null)
  if (item.to_number !== null) found = found.where('release_number', '<', item.to_number)
  return (await found.limit(1).executeTakeFirst()) !== undefined
}

const itemOf = (row: { kind: string; resource_id: string; version_number: number }): ItemRef => ({
  kind: row.kind as Kind,
  id: row.resource_id,
  version_number: row.version_number,
})
