import { page } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { Organizations, Workspaces } from './tenancy.ts'

export type TenancyRoutes = RoutesOf<
  | 'organizations_list'
  | 'organizations_create'
  | 'organizations_get'
  | 'organizations_update'
  | 'organizations_delete'
  | 'organization_workspaces_list'
  | 'organization_workspaces_create'
  | 'workspaces_list'
  | 'workspaces_create'
  | 'workspaces_get'
  | 'workspaces_update'
  | 'workspaces_delete'
>

export function tenancyRoutes(services: {
  organizations: Organizations
  workspaces: Workspaces
}): TenancyRoutes {
  const { organizations, workspaces } = services
  return {
    organizations_list: async ({ caller, query, url }) => ({
      body: page(query, await organizations.list(caller, query), url),
    }),
    organizations_create: async ({ caller, body }) => ({
      body: { data: await organizations.create(caller, body) },
    }),
    organizations_get: async ({ caller, params }) => ({
      body: { data: await organizations.get(caller, params.id) },
    }),
    organizations_update: async ({ caller, params, body }) => ({
      body: { data: await organizations.update(caller, params.id, body) },
    }),
    organizations_delete: async ({ caller, params, query }) => {
      await organizations.remove(caller, params.id, query.confirm)
      return { body: undefined }
    },
    organization_workspaces_list: async ({ caller, params, query, url }) => ({
      body: page(query, await workspaces.list(caller, { ...query, organization_id: params.id }), url),
    }),
    organization_workspaces_create: async ({ caller, params, body }) => ({
      body: { data: await workspaces.create(caller, { ...body, organization_id: params.id }) },
    }),
    workspaces_list: async ({ caller, query, url }) => ({
      body: page(query, await workspaces.list(caller, query), url),
    }),
    workspaces_create: async ({ caller, body }) => ({
      body: { data: await workspaces.create(caller, body) },
    }),
    workspaces_get: async ({ caller, params }) => ({
      body: { data: await workspaces.get(caller, params.id) },
    }),
    workspaces_update: async ({ caller, params, body }) => ({
      body: { data: await workspaces.update(caller, params.id, body) },
    }),
    workspaces_delete: async ({ caller, params, query }) => {
      await workspaces.remove(caller, params.id, query.confirm)
      return { body: undefined }
    },
  }
}
