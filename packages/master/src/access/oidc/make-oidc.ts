import { BASE_PATH } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { AuditLog } from '../../audit/audit.ts'
import type { Database } from '../../database/database.ts'
import type { Secrets } from '../../secrets/secrets.ts'
import type { Places } from '../access-service.ts'
import type { Authenticator } from '../authenticator.ts'
import type { Access } from '../caller.ts'
import type { Keepers } from '../keepers.ts'
import type { LoginThrottle } from '../login-throttle.ts'
import type { RefusalRows } from '../refusal-rows.ts'
import type { RoleBinder } from '../role-binder.ts'
import type { Sessions } from '../sessions-service.ts'
import { makeIdentityAccounts } from './accounts-service.ts'
import { makeGroupRoles } from './group-roles.ts'
import { makeIdentities } from './identities-service.ts'
import { type Logout, makeLogout } from './logout-service.ts'
import { makeRelyingParty } from './make-relying-party.ts'
import { type OidcRoutes, oidcRoutes } from './oidc-routes.ts'
import { PROVIDER_ENDPOINTS, type ProviderEndpoints } from './provider-endpoints.ts'
import { makeProviderLogin } from './provider-login-service.ts'
import { makeProviderSecrets } from './provider-secrets.ts'
import { makeIdentityProviders } from './providers-service.ts'
import type { OutgoingFetch } from './relying-party.ts'

export interface OidcDeps {
  readonly database: Database
  readonly secrets: Secrets
  readonly audit: AuditLog
  readonly access: Access
  readonly places: Places
  readonly authenticator: Authenticator
  readonly sessions: Sessions
  readonly keepers: Keepers
  readonly binder: RoleBinder
  readonly throttle: LoginThrottle
  readonly refusal_rows: RefusalRows
  /** How providers are asked. */
  readonly outgoing: { readonly fetch: OutgoingFetch }
  /** Other places than the real ones, for tests. */
  readonly provider_endpoints?: ProviderEndpoints
  readonly masterUrl: () => string
  readonly log: Logger
  readonly now: () => Date
  readonly newId: () => string
}

export interface Oidc {
  readonly logout: Logout
  readonly routes: OidcRoutes
}

/** Log-in by identity providers: what the area joins of it. */
export function makeOidc(base: OidcDeps): Oidc {
  const endpoints = base.provider_endpoints ?? PROVIDER_ENDPOINTS
  const deps = {
    ...base,
    endpoints,
    redirectUri: () => `${base.masterUrl()}${BASE_PATH}/auth/callback`,
    party: makeRelyingParty({ fetch: base.outgoing.fetch, now: base.now, endpoints }),
    provider_secrets: makeProviderSecrets(base),
    group_roles: makeGroupRoles(base),
  }
  const accounts = makeIdentityAccounts(deps)
  const login = makeProviderLogin({ ...deps, accounts })
  return {
    logout: makeLogout(deps),
    routes: oidcRoutes({
      providers: makeIdentityProviders(deps),
      login,
      identities: makeIdentities({ ...deps, login }),
    }),
  }
}
