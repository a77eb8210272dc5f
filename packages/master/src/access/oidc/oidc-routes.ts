import { page } from '../../http/page.ts'
import type { RoutesOf } from '../../http/routing.ts'
import type { Identities } from './identities-service.ts'
import type { ProviderLogin } from './provider-login-service.ts'
import type { IdentityProviders } from './providers-service.ts'

export type OidcRoutes = RoutesOf<
  | 'identity_providers_list'
  | 'identity_providers_create'
  | 'identity_providers_get'
  | 'identity_providers_update'
  | 'identity_providers_delete'
  | 'auth_providers_list'
  | 'auth_provider_login'
  | 'auth_callback'
  | 'me_identities_list'
  | 'me_identities_link'
  | 'me_identities_delete'
>

const nothing = { body: undefined }

/** Identity providers, and the ways in that they open. */
export function oidcRoutes(services: {
  providers: IdentityProviders
  login: ProviderLogin
  identities: Identities
}): OidcRoutes {
  const { providers, login, identities } = services
  return {
    identity_providers_list: async ({ caller, query, url }) => ({
      body: page(query, await providers.list(caller, query), url),
    }),
    identity_providers_create: async ({ caller, body }) => ({
      body: { data: await providers.create(caller, body) },
    }),
    identity_providers_get: async ({ caller, params }) => ({
      body: { data: await providers.get(caller, params.id) },
    }),
    identity_providers_update: async ({ caller, params, body }) => ({
      body: { data: await providers.update(caller, params.id, body) },
    }),
    identity_providers_delete: async ({ caller, params }) => {
      await providers.remove(caller, params.id)
      return nothing
    },
    auth_providers_list: async ({ query, url }) => ({
      body: page(query, await providers.forLogin(query), url),
    }),
    auth_provider_login: async ({ caller, params, query, browser }) => ({
      ...nothing,
      ...(await login.begin(caller, params.id, query.return_to, browser)),
    }),
    auth_callback: async ({ caller, query, browser }) => ({
      ...nothing,
      ...(await login.finish(caller, query, browser)),
    }),
    me_identities_list: async ({ caller, query, url }) => ({
      body: page(query, await identities.list(caller, query), url),
    }),
    me_identities_link: async ({ caller, body, browser }) => {
      const { location, ...cookies } = await identities.link(caller, body, browser)
      return { body: { data: { url: location } }, ...cookies }
    },
    me_identities_delete: async ({ caller, params }) => {
      await identities.unlink(caller, params.id)
      return nothing
    },
  }
}
