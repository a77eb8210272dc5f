import { ApiError, ENDPOINTS } from '@nxmesh/contract'
import type { Logger } from 'pino'
import { access } from './access/access-rules.ts'
import { makeAccessArea } from './access/make-access.ts'
import type { Setup } from './access/setup-service.ts'
import type { AuditLog } from './audit/audit.ts'
import { auditRoutes } from './audit/audit-routes.ts'
import { type AuditReader, makeAuditLog, makeAuditReader } from './audit/audit-service.ts'
import type { Database } from './database/database.ts'
import { type HttpApp, type HttpDeps, makeHttpApp } from './http/make-http-app.ts'
import type { Routes } from './http/routing.ts'
import type { Secrets } from './secrets/secrets.ts'
import type { ChannelDoor } from './serve.ts'
import { makeTenancyDoors } from './tenancy/make-tenancy.ts'
import type { Tenancy } from './tenancy/tenancy.ts'
import { makeTenancy } from './tenancy/tenancy-service.ts'
import { VERSION } from './version.ts'

/** What the areas stand on. */
export interface Compose {
  readonly db: Database
  readonly secrets: Secrets
  readonly log: Logger
  readonly now: () => Date
  readonly newId: () => string
  /** Under which agents reach the master; known once it listens. */
  readonly masterUrl: () => string
  readonly ca_fingerprint: string
  readonly ready: () => Promise<boolean>
  readonly rates?: NonNullable<HttpDeps['rates']>
}

/** The areas' services, for tests and benchmarks that look behind the doors. */
export interface MasterServices {
  readonly db: Database
  readonly audit: AuditLog & AuditReader
  readonly tenancy: Tenancy
  readonly setup: Setup
}

export interface Composed {
  readonly services: MasterServices
  readonly app: HttpApp
  readonly channel_door: ChannelDoor<unknown>
  /** Before anyone is served: ends what a master that died left half done. */
  recover(): Promise<void>
  /** After the listeners are open. */
  begin(): void
  /** Sends the agents away; they come back by themselves. */
  closeConnections(): void
  /** After the listeners are closed: nothing writes any more when it resolves. */
  stop(): Promise<void>
}

/** The one place that knows every area and joins them. */
export function compose(base: Compose): Composed {
  const { db, log, now, newId } = base
  const logOf = (component: string) => log.child({ component })
  const common = { db, database: db, now, newId, access }

  const audit = { ...makeAuditLog(common), ...makeAuditReader(common) }
  const tenancy = makeTenancy({ ...common, audit })
  const accounts = makeAccessArea({ ...common, audit, tenancy, log: logOf('access') })

  const app = makeHttpApp({
    ...(base.rates ? { rates: base.rates } : {}),
    routes: {
      ...laterRoutes(),
      ...accounts.routes,
      ...auditRoutes(audit),
      ...makeTenancyDoors({ ...common, audit, usages: [] }),
    },
    authenticator: accounts.authenticator,
    database: db,
    secrets: base.secrets,
    log: logOf('http'),
    now,
    newId,
    ready: base.ready,
    version: VERSION,
  })
  return {
    services: { db, audit, tenancy, setup: accounts.setup },
    app,
    channel_door: {
      upgrade: async () => new Response(null, { status: 503 }),
      websocket: { message() {} },
    },
    recover: async () => {},
    begin() {},
    closeConnections() {},
    stop: async () => {},
  }
}

function laterRoutes(): Routes {
  const none = async () => {
    throw new ApiError('NOT_BUILT_YET', 'This area of the master is not built yet')
  }
  return Object.fromEntries(Object.keys(ENDPOINTS).map(id => [id, none])) as unknown as Routes
}
