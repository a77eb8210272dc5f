import { page } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { ApiKeys } from './api-keys-service.ts'
import type { Sessions } from './sessions-service.ts'
import type { Setup } from './setup-service.ts'

export type AccessRoutes = RoutesOf<
  'setup' | 'login' | 'logout' | 'me' | 'api_keys_list' | 'api_keys_create' | 'api_keys_delete'
>

export function accessRoutes(services: {
  setup: Setup
  sessions: Sessions
  api_keys: ApiKeys
}): AccessRoutes {
  const { setup, sessions, api_keys } = services
  return {
    setup: async ({ caller, body }) => ({ body: { data: await setup.complete(caller, body) } }),
    login: async ({ caller, body }) => ({ body: { data: await sessions.login(caller, body) } }),
    logout: async ({ caller }) => {
      await sessions.logout(caller)
      return { body: undefined }
    },
    me: async ({ caller }) => ({ body: { data: sessions.me(caller) } }),
    api_keys_list: async ({ caller, query, url }) => ({
      body: page(query, await api_keys.list(caller, query), url),
    }),
    api_keys_create: async ({ caller, body }) => ({ body: { data: await api_keys.create(caller, body) } }),
    api_keys_delete: async ({ caller, params }) => {
      await api_keys.remove(caller, params.id)
      return { body: undefined }
    },
  }
}
