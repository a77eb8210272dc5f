import { createHash } from 'node:crypto'
import {
  type AgentSelector,
  canonicalJson,
  type UpstreamData,
  type VirtualHostData,
  values,
} from '@nxmesh/contract'
import type { BundleObject, LocationObject, UpstreamObject, VirtualHostObject } from '@nxmesh/nginx/objects'
import { proxyTarget } from '../config/kinds/virtual-host.ts'
import type { ResourceVersion } from '../config/snapshot.ts'

/** One object of a bundle: under `key` in the manifest, its canonical JSON, and the SHA-256 of that (hex). */
export interface BundleEntry {
  readonly key: string
  readonly hash: string
  readonly json: string
  /** The line of the manifest's text, in bytes: hashing thousands of these is faster than joining them. */
  readonly line: Uint8Array
}

/** An upstream at one version, ready for bundles. */
export interface PlannedUpstream {
  readonly id: string
  readonly version_number: number
  readonly data: UpstreamData
  /** How nginx compares it with the host of a `proxy_pass`. */
  readonly host: string
  /** What objects that use it take from it: they change when this changes. */
  readonly face: string
  readonly entry: BundleEntry
}

/** A virtual host at one version; its object depends on the upstreams that it names. */
export interface PlannedHost {
  readonly id: string
  readonly key: string
  readonly version_number: number
  readonly data: VirtualHostData
  readonly server_names: readonly string[]
  readonly longest_server_name: number
  readonly selector: AgentSelector
  readonly selector_key: string
  readonly upstream_ids: readonly string[]
  /** Hosts of `proxy_pass`: names of upstreams, or of DNS. */
  readonly proxy_hosts: readonly string[]
  /** The object as made last. */
  made: MadeHost | null
}

/** The upstreams of a release, by id and by name in lower case. */
export interface Upstreams {
  readonly by_id: ReadonlyMap<string, PlannedUpstream>
  readonly by_host: ReadonlyMap<string, PlannedUpstream>
}

/** A virtual host's object with what it was made from. */
export interface MadeHost {
  /** As long as a release has the very same upstreams, nothing has to be looked at. */
  readonly of: Upstreams
  /** What it took from the upstreams that it names: while that stays, the object stays. */
  readonly faces: string
  readonly entry: BundleEntry
  /** The upstreams that must be in a bundle with it. */
  readonly used: readonly BundleEntry[]
}

export function makeEntry(key: string, object: BundleObject): BundleEntry {
  const json = canonicalJson(object)
  const hash = createHash('sha256').update(json).digest('hex')
  return { key, hash, json, line: Buffer.from(`${key} ${hash}\n`, 'latin1') }
}

export function planUpstream(resource: ResourceVersion): PlannedUpstream {
  const data = resource.data as UpstreamData
  const { id, version_number } = resource
  const object: UpstreamObject = {
    kind: 'upstream',
    id,
    version_number,
    name: data.name,
    algorithm: data.algorithm,
    servers: data.servers,
    keepalive_connections: data.keepalive_connections,
    keepalive_timeout: data.keepalive_timeout,
  }
  const face = `${data.name} ${data.keepalive_connections === null ? 'close' : 'keepalive'}`
  return {
    id,
    version_number,
    data,
    host: data.name.toLowerCase(),
    face,
    entry: makeEntry(`upstream/${id}`, object),
  }
}

/** One string for nearly all, so that comparing it costs nothing. */
const ALL = canonicalJson({ all: true })

export function planHost(resource: ResourceVersion): PlannedHost {
  const data = resource.data as VirtualHostData
  const server_names = values.serverNames(data.server_name)
  const ids = data.locations.flatMap(one => (one.upstream_id === null ? [] : [one.upstream_id]))
  const hosts = data.locations.flatMap(one =>
    one.proxy_pass === null ? [] : [proxyTarget(one.proxy_pass).host],
  )
  return {
    id: resource.id,
    key: `virtual_host/${resource.id}`,
    version_number: resource.version_number,
    data,
    server_names,
    longest_server_name: Math.max(...server_names.map(name => Buffer.byteLength(name))),
    selector: data.target_agents,
    selector_key: 'all' in data.target_agents ? ALL : canonicalJson(data.target_agents),
    upstream_ids: [...new Set(ids)],
    proxy_hosts: [...new Set(hosts)],
    made: null,
  }
}

/**
 * The object of a virtual host with the names of its upstreams; serialized and hashed again only when these change. Null when
 * the release lacks an upstream that it points to: half a site would be worse than none.
 */
export function madeHost(host: PlannedHost, upstreams: Upstreams): MadeHost | null {
  if (host.made?.of === upstreams) return host.made
  const pointed = host.upstream_ids.flatMap(id => upstreams.by_id.get(id) ?? [])
  if (pointed.length < host.upstream_ids.length) return null
  const named = host.proxy_hosts.flatMap(name => upstreams.by_host.get(name) ?? [])
  const faces = pointed.map(one => one.face).join('\n')
  const unchanged = host.made?.faces === faces
  host.made = {
    of: upstreams,
    faces,
    entry: unchanged && host.made ? host.made.entry : makeEntry(host.key, hostObject(host, upstreams)),
    used: [...pointed, ...named].map(one => one.entry),
  }
  return host.made
}

function hostObject(host: PlannedHost, upstreams: Upstreams): VirtualHostObject {
  return {
    kind: 'virtual_host',
    id: host.id,
    version_number: host.version_number,
    name: host.data.name,
    server_names: host.server_names,
    listen_port: host.data.listen_port,
    template_id: 'default',
    gzip_enabled: host.data.gzip_enabled,
    locations: host.data.locations.map(one => locationObject(one, upstreams)),
  }
}

function locationObject(
  location: VirtualHostData['locations'][number],
  upstreams: Upstreams,
): LocationObject {
  const { path, custom_headers } = location
  if (location.upstream_id !== null) {
    const found = upstreams.by_id.get(location.upstream_id)
    if (!found) throw new Error(`The upstream ${location.upstream_id} was there a moment ago`)
    const { name, keepalive_connections } = found.data
    return {
      path,
      custom_headers,
      target: { type: 'upstream', name, keepalive: keepalive_connections !== null },
    }
  }
  if (location.proxy_pass !== null)
    return { path, custom_headers, target: { type: 'proxy', url: location.proxy_pass } }
  return { path, custom_headers, target: { type: 'root', root: location.root ?? '/', index: location.index } }
}
