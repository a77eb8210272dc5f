/**
 * The render model: what a bundle holds and what rendering needs to know about one host.
 * An object is self-contained (names resolved by the planner), so that one object and the host's facts
 * decide the text of its file, and an unchanged object means an unchanged file.
 */

export type LoadBalanceAlgorithm = 'round_robin' | 'weighted_round_robin' | 'least_connections' | 'ip_hash'

export interface UpstreamServerObject {
  /** `host:port`, `IPv4:port` or `[IPv6]:port`. */
  readonly address: string
  readonly weight: number
  readonly backup: boolean
  readonly down: boolean
  readonly max_fails: number
  /** Seconds. */
  readonly fail_timeout: number
}

export interface UpstreamObject {
  readonly kind: 'upstream'
  readonly id: string
  readonly version_number: number
  /** The nginx identifier of the upstream. */
  readonly name: string
  readonly algorithm: LoadBalanceAlgorithm
  readonly servers: readonly UpstreamServerObject[]
  readonly keepalive_connections: number | null
  /** Seconds. */
  readonly keepalive_timeout: number | null
}

export interface HeaderObject {
  readonly name: string
  readonly value: string
}

/** Where a location sends its requests. */
export type LocationTarget =
  | { readonly type: 'upstream'; readonly name: string; readonly keepalive: boolean }
  | { readonly type: 'proxy'; readonly url: string }
  | { readonly type: 'root'; readonly root: string; readonly index: string | null }

export interface LocationObject {
  /** As the API takes it: a path with an optional modifier, e.g. `/api`, `= /`, `^~ /img/`, `~ \.php$`, `~* \.png$`. */
  readonly path: string
  readonly target: LocationTarget
  /** Response headers. */
  readonly custom_headers: readonly HeaderObject[]
}

export interface VirtualHostObject {
  readonly kind: 'virtual_host'
  readonly id: string
  readonly version_number: number
  readonly name: string
  readonly server_names: readonly string[]
  readonly listen_port: number
  readonly template_id: 'default'
  readonly gzip_enabled: boolean
  readonly locations: readonly LocationObject[]
}

/** One address:port with the decisions that belong to it; renders the explicit default server (404 for unknown hosts). */
export interface ListenerObject {
  readonly kind: 'listener'
  readonly port: number
}

/** http-level settings computed by the planner for the whole bundle. */
export interface HttpObject {
  readonly kind: 'http'
  /** Length in bytes of the longest server name and the sum that decide the hash sizes. */
  readonly longest_server_name: number
  readonly server_name_count: number
}

export type BundleObject = UpstreamObject | VirtualHostObject | ListenerObject | HttpObject

/** What rendering must know about one nginx; the agent reports it, both sides render from it. */
export interface RenderFacts {
  /** e.g. `1.22.1`. */
  readonly nginx_version: string
  /** Modules built in or loaded, in the form of configure's names, e.g. `http_ssl_module`, `http_v3_module`. */
  readonly modules: readonly string[]
  /** Address that sites of this host bind to, `null` for every address. */
  readonly listen_address: string | null
  /** What nginx.conf kept when NxMesh took it over. */
  readonly carried: {
    /** `address:port` (`*:80`, `[::]:80`) of listeners that already have a default server. */
    readonly default_servers: readonly string[]
    /** Names of http-level directives that the carried configuration sets already. */
    readonly http_directives: readonly string[]
    /** What adoption took out of nginx.conf: computed hash sizes never fall below. */
    readonly hash_floors?: {
      readonly server_names_hash_max_size: number | null
      readonly server_names_hash_bucket_size: number | null
    }
  }
}

/** A place in the wanted configuration that a line of nginx text came from. */
export interface ResourceRef {
  readonly kind: BundleObject['kind']
  readonly id: string
}

export interface RenderedFile {
  /** Path below the deployment folder, e.g. `sites/shop-0192f1a2.conf`. */
  readonly path: string
  readonly text: string
  readonly resource: ResourceRef | null
}
