import { page } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { ApiKeys } from './api-keys-service.ts'
import type { Bindings } from './bindings-service.ts'
import type { Invitations } from './invitations-service.ts'
import type { Roles } from './roles-service.ts'
import type { Users } from './users-service.ts'

export type PeopleRoutes = RoutesOf<
  | 'users_list'
  | 'users_get'
  | 'users_update'
  | 'users_delete'
  | 'users_reset_link'
  | 'user_sessions_list'
  | 'user_sessions_delete'
  | 'invitations_list'
  | 'invitations_create'
  | 'invitations_delete'
  | 'roles_list'
  | 'roles_create'
  | 'roles_get'
  | 'roles_update'
  | 'roles_delete'
  | 'role_bindings_list'
  | 'role_bindings_create'
  | 'role_bindings_delete'
  | 'api_keys_list'
  | 'api_keys_create'
  | 'api_keys_delete'
>

export interface PeopleServices {
  readonly users: Users
  readonly invitations: Invitations
  readonly roles: Roles
  readonly bindings: Bindings
  readonly api_keys: ApiKeys
}

const nothing = { body: undefined }

/** People, machines, and what they may do: for those who keep them. */
export function peopleRoutes(services: PeopleServices): PeopleRoutes {
  const { users, invitations, roles, bindings, api_keys } = services
  return {
    users_list: async ({ caller, query, url }) => ({
      body: page(query, await users.list(caller, query), url),
    }),
    users_get: async ({ caller, params }) => ({ body: { data: await users.get(caller, params.id) } }),
    users_update: async ({ caller, params, body }) => ({
      body: { data: await users.update(caller, params.id, body) },
    }),
    users_delete: async ({ caller, params, query }) => {
      await users.remove(caller, params.id, query)
      return nothing
    },
    users_reset_link: async ({ caller, params }) => ({
      body: { data: await users.resetLink(caller, params.id) },
    }),
    user_sessions_list: async ({ caller, params, query, url }) => ({
      body: page(query, await users.sessions(caller, params.id, query), url),
    }),
    user_sessions_delete: async ({ caller, params }) => {
      await users.endSession(caller, params.id, params.session_id)
      return nothing
    },
    invitations_list: async ({ caller, query, url }) => ({
      body: page(query, await invitations.list(caller, query), url),
    }),
    invitations_create: async ({ caller, body }) => ({
      body: { data: await invitations.create(caller, body) },
    }),
    invitations_delete: async ({ caller, params }) => {
      await invitations.remove(caller, params.id)
      return nothing
    },
    roles_list: async ({ caller, query, url }) => ({
      body: page(query, await roles.list(caller, query), url),
    }),
    roles_create: async ({ caller, body }) => ({ body: { data: await roles.create(caller, body) } }),
    roles_get: async ({ caller, params }) => ({ body: { data: await roles.get(caller, params.id) } }),
    roles_update: async ({ caller, params, body }) => ({
      body: { data: await roles.update(caller, params.id, body) },
    }),
    roles_delete: async ({ caller, params }) => {
      await roles.remove(caller, params.id)
      return nothing
    },
    role_bindings_list: async ({ caller, query, url }) => ({
      body: page(query, await bindings.list(caller, query), url),
    }),
    role_bindings_create: async ({ caller, body }) => ({
      body: { data: await bindings.create(caller, body) },
    }),
    role_bindings_delete: async ({ caller, params }) => {
      await bindings.remove(caller, params.id)
      return nothing
    },
    api_keys_list: async ({ caller, query, url }) => ({
      body: page(query, await api_keys.list(caller, query), url),
    }),
    api_keys_create: async ({ caller, body }) => ({ body: { data: await api_keys.create(caller, body) } }),
    api_keys_delete: async ({ caller, params }) => {
      await api_keys.remove(caller, params.id)
      return nothing
    },
  }
}
