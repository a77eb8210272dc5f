import { ApiError, type CarriedResource, LIMITS, type Principal } from '@nxmesh/contract'
import type { AcceptedChange } from '../config/snapshot.ts'
import type { VersionReader } from '../config/versions.ts'
import type { Tx } from '../database/database.ts'
import { type Candidate, carry, upstreamsOf, usersByName } from './release-rules.ts'
import * as store from './release-store.ts'

export interface ReleaseDeps {
  readonly versions: VersionReader
  readonly nextReleaseNumber: (tx: Tx, workspace_id: string) => Promise<number>
  readonly now: () => Date
  readonly newId: () => string
}

export interface MadeRelease {
  readonly id: string
  readonly number: number
  readonly carried: CarriedResource[]
}

/**
 * Makes the next release of a workspace: the one before with `change` (null: with nothing new), and with refused versions
 * replaced by what was deployed before them. Runs under the lock of the workspace's row.
 */
export async function makeRelease(
  deps: ReleaseDeps,
  tx: Tx,
  workspace_id: string,
  created_by: Principal,
  change: AcceptedChange | null,
): Promise<MadeRelease> {
  const number = await deps.nextReleaseNumber(tx, workspace_id)
  const carried = await placeItems(deps, tx, workspace_id, number, change)
  const id = deps.newId()
  const created_at = deps.now().toISOString()
  await store.insertRelease(tx, { id, workspace_id, number, created_by, created_at, carried })
  return { id, number, carried }
}

async function placeItems(
  deps: ReleaseDeps,
  tx: Tx,
  workspace_id: string,
  number: number,
  change: AcceptedChange | null,
): Promise<CarriedResource[]> {
  const carried = await store.carriedOf(tx, workspace_id, number - 1)
  const refused = await store.refusedInNewest(tx, workspace_id)
  if (carried.length > 0 || refused.length > 0)
    return await placeCarefully(deps, tx, { workspace_id, number, change, carried, refused })
  // Nothing is held back: the change is the whole difference.
  if (change) {
    const place = { workspace_id, kind: change.kind, id: change.id, number }
    await store.setItem(tx, place, change.deleted ? null : change.version_number)
  }
  return []
}

interface Held {
  readonly workspace_id: string
  readonly number: number
  readonly change: AcceptedChange | null
  readonly carried: readonly CarriedResource[]
  readonly refused: readonly store.ItemRef[]
}

/** Looks at the resources that are held back, at the change, and at what points to them; the others stay as they are. */
async function placeCarefully(deps: ReleaseDeps, tx: Tx, held: Held): Promise<CarriedResource[]> {
  const { workspace_id, number } = held
  const { wanted, current } = await affected(deps, tx, held)
  const ids = wanted.map(one => one.id)
  const refused = new Set((await store.refusedOf(tx, workspace_id, ids)).map(store.refKey))
  const isRefused = (kind: string, id: string, version_number: number) =>
    refused.has(`${kind}/${id}@${version_number}`)
  const deployed = await lastDeployed(deps, tx, workspace_id, wanted, isRefused)
  const outside = [...wanted, ...deployed.values()].flatMap(upstreamsOf)
  const there = new Set((await store.openItems(tx, workspace_id, outside)).map(one => one.id))
  const { chosen, carried } = carry({ wanted, deployed, isRefused, hasUpstream: id => there.has(id) })
  await requireNameKept(deps, tx, held.change, new Set(carried.map(one => one.id)), chosen)
  for (const [id, candidate] of chosen) {
    const kind = candidate?.kind ?? wanted.find(one => one.id === id)?.kind
    const version_number = candidate?.version_number ?? null
    if (kind && (current.get(id) ?? null) !== version_number)
      await store.setItem(tx, { workspace_id, kind, id, number }, version_number)
  }
  return carried
}

/**
 * Throws `CONFLICT` when the change takes a name away by which a version that is carried means an upstream. The checks of the
 * configuration see the newest versions only; to nginx the name would become one of DNS.
 */
async function requireNameKept(
  deps: ReleaseDeps,
  tx: Tx,
  change: AcceptedChange | null,
  held: ReadonlySet<string>,
  chosen: ReadonlyMap<string, Candidate | null>,
): Promise<void> {
  if (change?.kind !== 'upstream') return
  const { kind, id, version_number } = change
  const [before] = await deps.versions.versions(tx, [{ kind, id, version_number: version_number - 1 }])
  const name = nameOf(before)
  if (name === null || nameOf(chosen.get(id) ?? null)?.toLowerCase() === name.toLowerCase()) return
  const carried = [...chosen.values()].filter(one => one !== null && held.has(one.id))
  const [user] = usersByName(carried, name)
  if (!user) return
  const host = `virtual host ${JSON.stringify(nameOf(user))} (${user.id})`
  throw new ApiError(
    'CONFLICT',
    `The name ${JSON.stringify(name)} is used in proxy_pass by version ${user.version_number} of the ${host}, which is served because a newer version was refused. Mend or delete that virtual host first.`,
  )
}

const nameOf = (one: { readonly data: unknown } | null | undefined): string | null =>
  (one?.data as { name?: string } | null | undefined)?.name ?? null

/** The newest accepted version of each affected resource, and the version (by id) that the newest release holds. */
async function affected(deps: ReleaseDeps, tx: Tx, held: Held) {
  const newest = new Map<string, store.ItemRef>()
  const put = (one: store.ItemRef) => newest.set(one.id, one)
  for (const one of held.refused) put(one)
  for (const one of held.carried)
    put({ kind: one.kind, id: one.id, version_number: one.rejected_version_number })
  if (held.change) put(held.change)
  const users = new Set<string>()
  for (const one of newest.values()) {
    if (one.kind !== 'upstream') continue
    for (const id of await deps.versions.usersOf(tx, one.id, LIMITS.resources_per_kind)) users.add(id)
  }
  const open = await store.openItems(tx, held.workspace_id, [...new Set([...newest.keys(), ...users])])
  for (const one of open) if (!newest.has(one.id)) put(one)
  const wanted: readonly Candidate[] = await deps.versions.versions(tx, [...newest.values()])
  return { wanted, current: new Map(open.map(one => [one.id, one.version_number])) }
}

async function lastDeployed(
  deps: ReleaseDeps,
  tx: Tx,
  workspace_id: string,
  wanted: readonly Candidate[],
  isRefused: (kind: string, id: string, version_number: number) => boolean,
): Promise<Map<string, Candidate>> {
  const found: store.ItemRef[] = []
  for (const { kind, id } of wanted) {
    const one = await store.lastDeployed(tx, workspace_id, kind, id, version => isRefused(kind, id, version))
    if (one) found.push(one)
  }
  const candidates = await deps.versions.versions(tx, found)
  return new Map(candidates.map(one => [one.id, one]))
}
