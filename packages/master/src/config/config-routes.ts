import { ApiError, type Kind } from '@nxmesh/contract'
import type { WaitQuery } from '@nxmesh/contract/endpoints/shared'
import type { z } from 'zod'
import { page, sliceOf } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { ConfigService, Wait } from './config.ts'
import { versionNumber } from './config-rules.ts'

type Operation = 'list' | 'create' | 'get' | 'update' | 'delete' | 'versions_list' | 'versions_get'
type ConfigRoutes = RoutesOf<`upstreams_${Operation}` | `virtual_hosts_${Operation}`>

/** The endpoints of every versioned kind. */
export function configRoutes(config: ConfigService): ConfigRoutes {
  return {
    ...kindRoutes(config, 'upstream', 'upstreams'),
    ...kindRoutes(config, 'virtual_host', 'virtual_hosts'),
  }
}

type KindRoutes<P extends 'upstreams' | 'virtual_hosts'> = RoutesOf<`${P}_${Operation}`>

/** The same seven routes for each kind; what differs between kinds is in the registry and in the endpoint table. */
function kindRoutes<P extends 'upstreams' | 'virtual_hosts'>(
  config: ConfigService,
  kind: Kind,
  prefix: P,
): KindRoutes<P> {
  const routes: KindRoutes<'upstreams'> = {
    upstreams_list: async ({ caller, query, url }) => {
      const found = await config.list(caller, kind, query.workspace_id, sliceOf(query))
      return { body: page(query, found, url) as never }
    },
    upstreams_create: async ({ caller, body, query }) => {
      const { workspace_id, change_summary, ...data } = body
      const written = await config.create(caller, kind, { workspace_id, data, change_summary }, waitOf(query))
      return { body: written as never, etag: written.data.version_number }
    },
    upstreams_get: async ({ caller, params }) => {
      const found = await config.get(caller, kind, params.id)
      return { body: { data: found as never }, etag: found.version_number }
    },
    upstreams_update: async ({ caller, params, body, query, if_match }) => {
      const { change_summary, ...patch } = body
      const written = await config.update(
        caller,
        kind,
        params.id,
        { patch, if_match, change_summary },
        waitOf(query),
      )
      return { body: written as never, etag: written.data.version_number }
    },
    upstreams_delete: async ({ caller, params, query, if_match }) => {
      const { data, meta, version_number } = await config.remove(
        caller,
        kind,
        params.id,
        if_match,
        waitOf(query),
      )
      return { body: { data, meta }, etag: version_number }
    },
    upstreams_versions_list: async ({ caller, params, query, url }) => {
      const found = await config.versions(caller, kind, params.id, sliceOf(query))
      return { body: page(query, found, url) }
    },
    upstreams_versions_get: async ({ caller, params }) => {
      const number = versionNumber(params.version)
      if (number === null) throw new ApiError('NOT_FOUND', `There is no version ${params.version}.`)
      return { body: { data: await config.version(caller, kind, params.id, number) } }
    },
  }
  const named = Object.entries(routes).map(([id, route]) => [id.replace(/^upstreams_/, `${prefix}_`), route])
  return Object.fromEntries(named) as KindRoutes<P>
}

export const waitOf = (query: z.infer<typeof WaitQuery>): Wait =>
  query.wait === undefined ? null : { timeout_ms: query.timeout_s * 1_000 }
