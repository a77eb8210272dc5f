import { z } from 'zod'
import {
  ChangeMeta,
  ConfigVersion,
  Upstream,
  UpstreamCreate,
  UpstreamPatch,
  VirtualHost,
  VirtualHostCreate,
  VirtualHostPatch,
} from '../entities/config.ts'
import { Deployment } from '../entities/deployment.ts'
import { list, PageQuery, single, singleWithMeta } from '../envelope.ts'
import { endpoint } from './endpoint.ts'
import { IdParams, WaitQuery, WorkspaceQuery } from './shared.ts'

const denied = ['UNAUTHENTICATED', 'FORBIDDEN'] as const
/** With `wait`, the deployment as it ended (or as it stands at the end of the wait). */
const WriteMeta = ChangeMeta.extend({ deployment: Deployment.optional() })
const VersionParams = IdParams.extend({
  version: z
    .string()
    .max(16)
    .regex(/^v?\d{1,15}$/, 'must be a version number such as 3 or v3'),
})

/** The endpoints that every versioned kind has; written once. */
function kindEndpoints<
  R extends z.ZodType,
  C extends z.ZodType,
  P extends z.ZodType,
  N extends string,
>(kind: { path: `/${N}`; noun: string; resource: R; create: C; patch: P }) {
  const { path, noun, resource } = kind
  const tag = 'Configuration'
  const one = `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`
  const written = singleWithMeta(resource, WriteMeta)
  return {
    list: endpoint({
      method: 'GET',
      path,
      summary: `List ${noun}s`,
      tag,
      access: 'config:read',
      query: WorkspaceQuery,
      response: list(resource),
      status: 200,
      errors: denied,
    }),
    create: endpoint({
      method: 'POST',
      path,
      summary: `Create ${one}`,
      tag,
      access: 'config:write',
      query: WaitQuery,
      body: kind.create,
      response: written,
      status: 201,
      errors: [...denied, 'NOT_FOUND', 'CONFLICT', 'NOT_BUILT_YET', 'LIMIT_REACHED'],
      etag: true,
    }),
    get: endpoint({
      method: 'GET',
      path: `${path}/{id}`,
      summary: `Read ${one}`,
      tag,
      access: 'config:read',
      params: IdParams,
      response: single(resource),
      status: 200,
      errors: [...denied, 'NOT_FOUND'],
      etag: true,
    }),
    update: endpoint({
      method: 'PATCH',
      path: `${path}/{id}`,
      summary: `Change ${one}`,
      tag,
      access: 'config:write',
      query: WaitQuery,
      params: IdParams,
      body: kind.patch,
      response: written,
      status: 200,
      errors: [...denied, 'NOT_FOUND', 'CONFLICT', 'NOT_BUILT_YET', 'PRECONDITION_FAILED', 'LIMIT_REACHED'],
      etag: true,
    }),
    delete: endpoint({
      method: 'DELETE',
      path: `${path}/{id}`,
      summary: `Delete ${one} that nothing refers to`,
      tag,
      access: 'config:delete',
      query: WaitQuery,
      params: IdParams,
      response: z.object({ data: z.null(), meta: WriteMeta }),
      status: 200,
      errors: [...denied, 'NOT_FOUND', 'IN_USE', 'PRECONDITION_FAILED'],
      etag: true,
    }),
    versions_list: endpoint({
      method: 'GET',
      path: `${path}/{id}/versions`,
      summary: `List the versions of ${one}, newest first`,
      tag,
      access: 'config:read',
      params: IdParams,
      query: PageQuery,
      response: list(ConfigVersion),
      status: 200,
      errors: [...denied, 'NOT_FOUND'],
    }),
    versions_get: endpoint({
      method: 'GET',
      path: `${path}/{id}/versions/{version}`,
      summary: `Read one version of ${one}`,
      tag,
      access: 'config:read',
      params: VersionParams,
      response: single(ConfigVersion),
      status: 200,
      errors: [...denied, 'NOT_FOUND'],
    }),
  } as const
}

export const upstreamEndpoints = kindEndpoints({
  path: '/upstreams',
  noun: 'upstream',
  resource: Upstream,
  create: UpstreamCreate,
  patch: UpstreamPatch,
})
export const virtualHostEndpoints = kindEndpoints({
  path: '/virtual-hosts',
  noun: 'virtual host',
  resource: VirtualHost,
  create: VirtualHostCreate,
  patch: VirtualHostPatch,
})
