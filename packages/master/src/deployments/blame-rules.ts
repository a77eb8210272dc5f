import type { ConfigError, Kind } from '@nxmesh/contract'
import type { ItemRef } from './release-store.ts'
import type { Snapshot } from './snapshot.ts'

export interface BlameInput {
  readonly error: ConfigError
  /** The release that was refused. */
  readonly snapshot: Snapshot
  /** Whether the release has this resource at a version that no agent serves: only such a one can be to blame. */
  isNew(kind: Kind, id: string): boolean
  /** All that is new in the release. */
  readonly news: readonly ItemRef[]
}

/**
 * Which versions an error of nginx speaks of. Empty when it names something that is served already (a host name that no longer
 * resolves, say): holding that back would take a site down for what an edit did not do.
 */
export function blamed(input: BlameInput): ItemRef[] {
  const { resource } = input.error
  if (resource?.kind === 'virtual_host') return blamedHost(input, resource.id)
  if (resource?.kind === 'upstream') return versionsOf(input, new Set([resource.id]))
  if (resource?.kind === 'listener')
    return versionsOf(input, new Set(hostsOnPort(input.snapshot, resource.id)))
  // The error names nothing of ours: with a single candidate there is still no doubt.
  return input.news.length === 1 ? [...input.news] : []
}

/** The virtual host itself, else the new upstreams that it names. */
function blamedHost(input: BlameInput, id: string): ItemRef[] {
  const own = versionsOf(input, new Set([id]))
  if (own.length > 0) return own
  const host = input.snapshot.hosts.find(one => one.id === id)
  return versionsOf(input, new Set(host?.upstream_ids ?? []))
}

const hostsOnPort = (snapshot: Snapshot, port: string): string[] =>
  snapshot.hosts.filter(one => String(one.data.listen_port) === port).map(one => one.id)

function versionsOf(input: BlameInput, ids: ReadonlySet<string>): ItemRef[] {
  const found: ItemRef[] = []
  for (const one of input.snapshot.hosts)
    if (ids.has(one.id)) found.push({ kind: 'virtual_host', id: one.id, version_number: one.version_number })
  for (const id of ids) {
    const one = input.snapshot.upstreams.by_id.get(id)
    if (one) found.push({ kind: 'upstream', id, version_number: one.version_number })
  }
  return found.filter(one => input.isNew(one.kind, one.id))
}
