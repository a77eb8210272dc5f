import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import * as v from '../values.ts'
import { AgentSelector } from './agent.ts'
import { Principal } from './common.ts'

/** The versioned kinds of this version of NxMesh. */
export const KINDS = ['upstream', 'virtual_host'] as const
export type Kind = (typeof KINDS)[number]

const NOT_BUILT = 'NOT_BUILT_YET'
/** A field of the specification that this version refuses with a clear error instead of ignoring it. */
const notBuilt = (message: string) => ({ message, params: { code: NOT_BUILT } })
export const isNotBuiltIssue = (issue: object): boolean =>
  ((issue as { params?: unknown }).params as { code?: unknown } | undefined)?.code === NOT_BUILT

// --- Upstream (CM-002) ---

export const LoadBalanceAlgorithm = z.enum([
  'round_robin',
  'weighted_round_robin',
  'least_connections',
  'ip_hash',
])

export const UpstreamServer = z.strictObject({
  address: v.serverAddress,
  weight: z.int().min(1).max(LIMITS.weight_max).default(1),
  backup: z.boolean().default(false),
  down: z.boolean().default(false),
  max_fails: z.int().min(0).max(LIMITS.max_fails_max).default(1),
  fail_timeout: z.int().min(0).max(LIMITS.fail_timeout_max_s).default(10).describe('Seconds'),
})

/** The nginx identifier of the pool. */
export const upstreamName = z
  .string()
  .max(LIMITS.slug_chars)
  .regex(
    /^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/,
    'must be an identifier: letters, digits, . _ -, a letter first',
  )

const upstreamFields = {
  name: upstreamName,
  algorithm: LoadBalanceAlgorithm.default('round_robin'),
  servers: z.array(UpstreamServer).min(1).max(LIMITS.upstream_servers),
  health_check: z
    .custom<null>(value => value === null, notBuilt('health checks are not built yet; leave it null'))
    .default(null),
  keepalive_connections: z.int().min(1).max(LIMITS.keepalive_connections_max).nullable().default(null),
  keepalive_timeout: z
    .int()
    .min(1)
    .max(LIMITS.keepalive_timeout_max_s)
    .nullable()
    .default(null)
    .describe('Seconds'),
}

/** The data of an upstream: what a version holds. */
export const UpstreamData = z.strictObject(upstreamFields).superRefine((data, context) => {
  const servers = data.servers
  if (data.algorithm === 'ip_hash' && servers.some(server => server.backup))
    context.addIssue({
      code: 'custom',
      path: ['algorithm'],
      message: 'ip_hash does not go with a backup server',
    })
  if (servers.every(server => server.backup))
    context.addIssue({
      code: 'custom',
      path: ['servers'],
      message: 'at least one server must not be a backup',
    })
  const addresses = servers.map(server => server.address)
  const twice = addresses.findIndex((address, index) => addresses.indexOf(address) !== index)
  if (twice >= 0)
    context.addIssue({
      code: 'custom',
      path: ['servers', twice, 'address'],
      message: `${addresses[twice]} is there twice`,
    })
  if (data.keepalive_timeout !== null && data.keepalive_connections === null)
    context.addIssue({ code: 'custom', path: ['keepalive_timeout'], message: 'needs keepalive_connections' })
})
export type UpstreamData = z.infer<typeof UpstreamData>

// --- Virtual host (CM-001) ---

export const Header = z.strictObject({ name: v.responseHeaderName, value: v.headerValue })

export const Location = z
  .strictObject({
    path: v.locationPath,
    upstream_id: v.id.nullable().default(null),
    proxy_pass: v.proxyUrl.nullable().default(null),
    root: v.absolutePath.nullable().default(null),
    index: v.indexFiles.nullable().default(null),
    custom_headers: z.array(Header).max(LIMITS.headers).default([]).describe('Response headers'),
  })
  .superRefine((location, context) => {
    const issue = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    const targets = [location.upstream_id, location.proxy_pass, location.root].filter(one => one !== null)
    if (targets.length !== 1) issue('path', 'needs exactly one of upstream_id, proxy_pass and root')
    if (location.index !== null && location.root === null) issue('index', 'goes with root only')
    const regex = v.splitLocationPath(location.path).modifier.startsWith('~')
    if (regex && location.proxy_pass !== null && /^https?:\/\/[^/]+\//.test(location.proxy_pass))
      issue('proxy_pass', 'must have no path in a location with a regular expression')
  })
export type Location = z.infer<typeof Location>

const virtualHostFields = {
  name: v.name,
  server_name: v.serverName,
  listen_port: v.port,
  ssl_enabled: z.boolean().default(false),
  ssl_certificate_id: v.id.nullable().default(null),
  template_id: z
    .literal('default', 'must be "default"; other templates are not built yet')
    .default('default'),
  locations: z.array(Location).min(1, 'At least one location must be defined').max(LIMITS.locations),
  gzip_enabled: z.boolean().default(false),
  target_agents: AgentSelector.default({ all: true }),
}

/** The data of a virtual host: what a version holds. */
export const VirtualHostData = z.strictObject(virtualHostFields).superRefine((data, context) => {
  if (data.ssl_enabled)
    context.addIssue({
      code: 'custom',
      path: ['ssl_enabled'],
      ...notBuilt('TLS for virtual hosts is not built yet; leave it false'),
    })
  if (data.ssl_certificate_id !== null)
    context.addIssue({
      code: 'custom',
      path: ['ssl_certificate_id'],
      ...notBuilt('certificates are not built yet; leave it null'),
    })
  const keys = data.locations.map(location => locationKey(location.path))
  const twice = keys.findIndex((key, index) => keys.indexOf(key) !== index)
  if (twice >= 0)
    context.addIssue({
      code: 'custom',
      path: ['locations', twice, 'path'],
      message: `${data.locations[twice]?.path} is there twice`,
    })
})

/** nginx refuses `/a` beside `^~ /a`: both are the prefix `/a`. */
function locationKey(path: string): string {
  const { modifier, pattern } = v.splitLocationPath(path)
  return modifier === '^~' ? pattern : path
}
export type VirtualHostData = z.infer<typeof VirtualHostData>

// --- What every versioned kind shares ---

/** In the order in which answers give their fields. */
const resourceOf = <const F extends z.ZodRawShape>(fields: F) =>
  z.object({
    id: v.id,
    workspace_id: v.id,
    ...fields,
    version_number: z.int(),
    created_at: v.time,
    updated_at: v.time,
  })
const changeFields = { change_summary: v.text(LIMITS.summary_chars).optional() }

type WithoutDefault<T extends z.core.SomeType> = T extends z.ZodDefault<infer Inner> ? Inner : T
type PatchShape<F extends Record<string, z.core.SomeType>> = {
  [K in keyof F]: z.ZodOptional<WithoutDefault<F[K]>>
}

/** In a patch absent means unchanged, so the defaults of the fields are taken off; nested ones apply to what is replaced whole. */
function patchOf<const F extends Record<string, z.ZodType>>(fields: F) {
  const optional = Object.entries(fields).map(([key, type]) => [
    key,
    (type instanceof z.ZodDefault ? (type.unwrap() as z.ZodType) : type).optional(),
  ])
  const shape = Object.fromEntries(optional) as PatchShape<F>
  return z.strictObject({ ...shape, ...changeFields } as PatchShape<F> & typeof changeFields)
}

export const Upstream = resourceOf(upstreamFields)
export type Upstream = z.infer<typeof Upstream>
export const UpstreamCreate = z.strictObject({ workspace_id: v.id, ...upstreamFields, ...changeFields })
export const UpstreamPatch = patchOf(upstreamFields)

export const VirtualHost = resourceOf(virtualHostFields)
export type VirtualHost = z.infer<typeof VirtualHost>
export const VirtualHostCreate = z.strictObject({ workspace_id: v.id, ...virtualHostFields, ...changeFields })
export const VirtualHostPatch = patchOf(virtualHostFields)

/** CM-003: an immutable snapshot of one resource. `data` is null in the version that deletes it. */
export const ConfigVersion = z.object({
  id: v.id,
  resource_type: z.enum(KINDS),
  resource_id: v.id,
  version_number: z.int(),
  data: z.record(z.string(), z.unknown()).nullable(),
  checksum: z.string().describe('SHA-256 of the canonical JSON of data, hex'),
  created_by: Principal,
  created_at: v.time,
  change_summary: z.string(),
})
export type ConfigVersion = z.infer<typeof ConfigVersion>

/** `meta` of a write: whether something changed, and the deployment that brings it to the agents. */
export const ChangeMeta = z.object({
  changed: z.boolean(),
  deployment_id: v.id.nullable(),
})
