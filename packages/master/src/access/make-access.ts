import type { Logger } from 'pino'
import type { AuditLog } from '../audit/audit.ts'
import type { Database } from '../database/database.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { Tenancy, TenantContents } from '../tenancy/tenancy.ts'
import { type AccessRoutes, accessRoutes } from './access-routes.ts'
import type { Places } from './access-service.ts'
import { makeAccountGuard } from './account-guard.ts'
import { makeAccount } from './account-service.ts'
import { makeApiKeys } from './api-keys-service.ts'
import { type Authenticator, makeAuthenticator } from './authenticator.ts'
import { type Bindings, makeBindings } from './bindings-service.ts'
import type { Access } from './caller.ts'
import { accessContents } from './contents.ts'
import { makeInvitations } from './invitations-service.ts'
import { makeKeepers } from './keepers.ts'
import { makeLinkMaker } from './link-maker.ts'
import { makeLogin } from './login-service.ts'
import { makeLoginThrottle } from './login-throttle.ts'
import { makeOidc, type OidcDeps } from './oidc/make-oidc.ts'
import type { OidcRoutes } from './oidc/oidc-routes.ts'
import { makePasswords } from './passwords.ts'
import { type PeopleRoutes, peopleRoutes } from './people-routes.ts'
import { makeRefusalRows } from './refusal-rows.ts'
import { makePasswordResets } from './reset-service.ts'
import { makeRoleBinder } from './role-binder.ts'
import { makeRoles } from './roles-service.ts'
import { makeSessions, type Sessions } from './sessions-service.ts'
import { makeSetup, type Setup } from './setup-service.ts'
import { makeSigningKeys } from './signing-keys-service.ts'
import { makeStandings, type Standings } from './standing.ts'
import { makeUsers } from './users-service.ts'

export interface AccessDeps {
  readonly database: Database
  readonly secrets: Secrets
  readonly audit: AuditLog
  readonly tenancy: Tenancy
  readonly access: Access
  readonly places: Places
  /** Where one-time links lead. */
  readonly masterUrl: () => string
  /** How identity providers are asked. */
  readonly outgoing: OidcDeps['outgoing']
  /** For tests. */
  readonly provider_endpoints?: NonNullable<OidcDeps['provider_endpoints']>
  readonly log: Logger
  readonly now: () => Date
  readonly newId: () => string
}

export interface AccessArea {
  readonly authenticator: Authenticator
  readonly standings: Standings
  readonly sessions: Sessions
  readonly setup: Setup
  readonly bindings: Bindings
  readonly contents: TenantContents
  readonly routes: AccessRoutes & PeopleRoutes & OidcRoutes
}

/** The whole area: what the composition root needs of it. */
export function makeAccessArea(base: AccessDeps): AccessArea {
  const signing_keys = makeSigningKeys(base)
  const authenticator = makeAuthenticator({ ...base, signing_keys })
  const sessions = makeSessions({ ...base, authenticator, signing_keys })
  const deps = {
    ...base,
    authenticator,
    sessions,
    binder: makeRoleBinder({ ...base, authenticator }),
    passwords: makePasswords(),
    throttle: makeLoginThrottle(base.now),
    keepers: makeKeepers(),
    guard: makeAccountGuard(base.access),
    links: makeLinkMaker(base),
  }
  // For each way in, or a flood at one would hide what comes at the others.
  const bounded = () => ({ ...deps, refusal_rows: makeRefusalRows(base) })
  const setup = makeSetup(bounded())
  const invitations = makeInvitations(deps)
  const bindings = makeBindings(deps)
  const oidc = makeOidc(bounded())
  return {
    authenticator,
    standings: makeStandings({ ...base, authenticator, signing_keys }),
    sessions,
    setup,
    bindings,
    contents: accessContents(authenticator),
    routes: {
      ...accessRoutes({
        setup,
        invitations,
        sessions,
        login: makeLogin(bounded()),
        account: makeAccount(deps),
        resets: makePasswordResets(deps),
        logout: oidc.logout,
      }),
      ...peopleRoutes({
        invitations,
        bindings,
        users: makeUsers(deps),
        roles: makeRoles(deps),
        api_keys: makeApiKeys(deps),
      }),
      ...oidc.routes,
    },
  }
}
