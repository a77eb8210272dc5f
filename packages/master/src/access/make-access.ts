import type { Logger } from 'pino'
import type { AuditLog } from '../audit/audit.ts'
import type { Database } from '../database/database.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import { type AccessRoutes, accessRoutes } from './access-routes.ts'
import { makeApiKeys } from './api-keys-service.ts'
import { type Authenticator, makeAuthenticator } from './authenticator.ts'
import type { Access } from './caller.ts'
import { makeLoginThrottle } from './login-throttle.ts'
import { makePasswords } from './passwords.ts'
import { makeSessions } from './sessions-service.ts'
import { makeSetup, type Setup } from './setup-service.ts'

export interface AccessDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly tenancy: Tenancy
  readonly access: Access
  readonly log: Logger
  readonly now: () => Date
  readonly newId: () => string
}

/** The whole area: what the composition root needs of it. */
export function makeAccessArea(deps: AccessDeps): {
  authenticator: Authenticator
  setup: Setup
  routes: AccessRoutes
} {
  const passwords = makePasswords()
  const authenticator = makeAuthenticator(deps)
  const throttle = makeLoginThrottle(deps.now)
  const sessions = makeSessions({ ...deps, authenticator, passwords, throttle })
  const setup = makeSetup({ ...deps, sessions, passwords, throttle })
  const api_keys = makeApiKeys({ ...deps, authenticator })
  return { authenticator, setup, routes: accessRoutes({ setup, sessions, api_keys }) }
}
