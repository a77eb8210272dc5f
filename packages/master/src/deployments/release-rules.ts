import type { CarriedResource, Kind, VirtualHostData } from '@nxmesh/contract'
import { proxyTarget } from '../config/kinds/virtual-host.ts'

/** Which versions a release holds when some of the newest were refused by nginx. Pure. */

/** One resource at one version; `data` null: the version that deletes it. */
export interface Candidate {
  readonly kind: Kind
  readonly id: string
  readonly version_number: number
  readonly data: unknown
}

export interface CarryInput {
  /** The newest accepted version of every resource that may be affected. */
  readonly wanted: readonly Candidate[]
  /** By id: the newest version that was deployed and never refused. */
  readonly deployed: ReadonlyMap<string, Candidate>
  isRefused(kind: Kind, id: string, version_number: number): boolean
  /** Whether the release holds an upstream that is not among `wanted`. */
  hasUpstream(id: string): boolean
}

export interface Carried {
  /** By id; null: the release does not hold it. */
  readonly chosen: ReadonlyMap<string, Candidate | null>
  readonly carried: CarriedResource[]
}

/**
 * A refused version gives way to the last deployed one, or is left out when there is none. What points to something that is
 * left out gives way as well; a deletion waits for as long as a carried version still needs what it deletes.
 */
export function carry(input: CarryInput): Carried {
  const chosen = new Map<string, Candidate | null>()
  const upstreams = input.wanted.filter(one => one.kind === 'upstream')
  const hosts = input.wanted.filter(one => one.kind === 'virtual_host')
  for (const one of upstreams) chosen.set(one.id, acceptable(input, one))
  for (const one of hosts) chosen.set(one.id, chooseHost(input, chosen, one))
  return { chosen, carried: input.wanted.flatMap(one => carriedOf(one, chosen.get(one.id) ?? null)) }
}

function acceptable(input: CarryInput, wanted: Candidate): Candidate | null {
  if (!input.isRefused(wanted.kind, wanted.id, wanted.version_number)) return present(wanted)
  return present(input.deployed.get(wanted.id) ?? null)
}

const present = (one: Candidate | null): Candidate | null => (one === null || one.data === null ? null : one)

function chooseHost(
  input: CarryInput,
  chosen: Map<string, Candidate | null>,
  wanted: Candidate,
): Candidate | null {
  const there = (id: string) => (chosen.has(id) ? chosen.get(id) !== null : input.hasUpstream(id))
  const refused = input.isRefused(wanted.kind, wanted.id, wanted.version_number)
  if (!refused && upstreamsOf(wanted).every(there)) return present(wanted)
  const deployed = present(input.deployed.get(wanted.id) ?? null)
  if (!deployed) return null
  const deleted = (id: string) => input.wanted.some(one => one.id === id && one.data === null)
  const restorable = (id: string) => deleted(id) && present(input.deployed.get(id) ?? null) !== null
  const needed = upstreamsOf(deployed)
  if (!needed.every(id => there(id) || restorable(id))) return null
  for (const id of needed) if (!there(id)) chosen.set(id, input.deployed.get(id) ?? null)
  return deployed
}

/** Upstreams that a virtual host names by id. */
export function upstreamsOf(one: Candidate): string[] {
  if (one.kind !== 'virtual_host' || one.data === null) return []
  const { locations } = one.data as VirtualHostData
  return locations.flatMap(location => (location.upstream_id === null ? [] : [location.upstream_id]))
}

/** Virtual hosts among these that mean the upstream called `name` by a `proxy_pass`. nginx compares without case. */
export function usersByName(hosts: Iterable<Candidate | null>, name: string): Candidate[] {
  const wanted = name.toLowerCase()
  return [...hosts].filter((one): one is Candidate => {
    if (one?.kind !== 'virtual_host' || one.data === null) return false
    const { locations } = one.data as VirtualHostData
    return locations.some(({ proxy_pass }) => proxy_pass !== null && proxyTarget(proxy_pass).host === wanted)
  })
}

function carriedOf(wanted: Candidate, chosen: Candidate | null): CarriedResource[] {
  if (chosen === null && wanted.data === null) return []
  if (chosen?.version_number === wanted.version_number) return []
  const { kind, id } = wanted
  return [
    {
      kind,
      id,
      version_number: chosen?.version_number ?? null,
      rejected_version_number: wanted.version_number,
    },
  ]
}
