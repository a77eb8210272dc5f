import type { Kind } from '@nxmesh/contract'
import type { ResourceVersion } from '../config/snapshot.ts'
import { type PlannedHost, type PlannedUpstream, planHost, planUpstream, type Upstreams } from './planned.ts'

/**
 * The content of one release, ready for planning. Immutable: a release that changes one of 5,000 resources makes a new
 * snapshot that shares the other 4,999.
 */
export interface Snapshot {
  readonly upstreams: Upstreams
  /** Sorted by id. */
  readonly hosts: readonly PlannedHost[]
}

/** What a release has in place of what the one before had; `resource` null: it is not there any more. */
export interface SnapshotChange {
  readonly kind: Kind
  readonly id: string
  readonly resource: ResourceVersion | null
}

export function snapshotOf(resources: Iterable<ResourceVersion>): Snapshot {
  const upstreams = new Map<string, PlannedUpstream>()
  const hosts: PlannedHost[] = []
  for (const resource of resources) {
    if (resource.kind === 'upstream') upstreams.set(resource.id, planUpstream(resource))
    else hosts.push(planHost(resource))
  }
  hosts.sort((a, b) => (a.id < b.id ? -1 : 1))
  return { upstreams: indexed(upstreams), hosts }
}

export function advanced(before: Snapshot, changes: readonly SnapshotChange[]): Snapshot {
  const hosts = changes.some(one => one.kind === 'virtual_host') ? [...before.hosts] : before.hosts
  const touched = changes.some(one => one.kind === 'upstream')
  const upstreams = touched ? new Map(before.upstreams.by_id) : null
  for (const change of changes) {
    if (change.kind === 'virtual_host') putHost(hosts as PlannedHost[], change)
    else if (upstreams) putUpstream(upstreams, change)
  }
  return { upstreams: upstreams ? indexed(upstreams) : before.upstreams, hosts }
}

function indexed(by_id: ReadonlyMap<string, PlannedUpstream>): Upstreams {
  const by_host = new Map<string, PlannedUpstream>()
  for (const one of by_id.values()) by_host.set(one.host, one)
  return { by_id, by_host }
}

function putUpstream(upstreams: Map<string, PlannedUpstream>, change: SnapshotChange): void {
  if (change.resource === null) upstreams.delete(change.id)
  else upstreams.set(change.id, planUpstream(change.resource))
}

function putHost(hosts: PlannedHost[], change: SnapshotChange): void {
  const at = positionOf(hosts, change.id)
  const there = hosts[at]?.id === change.id ? 1 : 0
  hosts.splice(at, there, ...(change.resource === null ? [] : [planHost(change.resource)]))
}

/** Where the id is, or would have to be inserted. */
function positionOf(hosts: readonly PlannedHost[], id: string): number {
  let low = 0
  let high = hosts.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((hosts[middle]?.id ?? '') < id) low = middle + 1
    else high = middle
  }
  return low
}
