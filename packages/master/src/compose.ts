import type { Logger } from 'pino'
import { makeAccess } from './access/access-service.ts'
import { makeAccessArea } from './access/make-access.ts'
import type { Setup } from './access/setup-service.ts'
import { makeAgentKeys } from './agents/agent-keys-service.ts'
import type { AgentDirectory } from './agents/agents.ts'
import { makeAgentsArea } from './agents/make-agents.ts'
import type { AuditLog } from './audit/audit.ts'
import { auditRoutes } from './audit/audit-routes.ts'
import { type AuditReader, makeAuditLog, makeAuditReader } from './audit/audit-service.ts'
import type { ConnectionData } from './channel/agent-socket.ts'
import type { Channel } from './channel/channel.ts'
import { makeChannelServer } from './channel/make-channel.ts'
import type { ConfigService } from './config/config.ts'
import { configRoutes } from './config/config-routes.ts'
import { makeConfigService } from './config/config-service.ts'
import { configContents } from './config/contents.ts'
import { versionReader } from './config/versions.ts'
import type { Database } from './database/database.ts'
import { deploymentsRoutes } from './deployments/deployments-routes.ts'
import { type DeploymentsService, makeDeployments } from './deployments/deployments-service.ts'
import { type HttpApp, type HttpDeps, makeHttpApp } from './http/make-http-app.ts'
import type { Secrets } from './secrets/secrets.ts'
import type { ChannelDoor } from './serve.ts'
import { makeTenancyArea } from './tenancy/make-tenancy.ts'
import { makePlaces } from './tenancy/places.ts'
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
  readonly channel: Channel
  readonly agents: AgentDirectory
  readonly config: ConfigService
  readonly deployments: DeploymentsService
}

export interface Composed {
  readonly services: MasterServices
  readonly app: HttpApp
  readonly channel_door: ChannelDoor<ConnectionData>
  /** Before anyone is served: carries on with what a master that died left half done. */
  recover(): Promise<void>
  /** Sends the agents away; they come back by themselves. */
  closeChannel(): Promise<void>
  /** After the listeners are closed: nothing writes any more when it resolves. */
  stop(): Promise<void>
}

/** The one place that knows every area and joins them. */
export function compose(base: Compose): Composed {
  const { db, secrets, log, now, newId } = base
  const logOf = (component: string) => log.child({ component })
  const places = makePlaces(db)
  const access = makeAccess(places)
  const common = { db, database: db, now, newId, access, places }

  // What everyone stands on.
  const audit = { ...makeAuditLog(common), ...makeAuditReader(common) }
  const tenancy = makeTenancy({ ...common, audit })
  const accounts = makeAccessArea({
    ...common,
    secrets,
    audit,
    tenancy,
    masterUrl: base.masterUrl,
    log: logOf('access'),
  })

  // The fleet.
  const keys = makeAgentKeys({ ...common, secrets })
  const channel_server = makeChannelServer({ ...common, keys, audit, log: logOf('channel') })
  const { channel } = channel_server
  const agents = makeAgentsArea({
    ...common,
    audit,
    tenancy,
    keys,
    channel,
    log: logOf('agents'),
    joinTarget: () => ({ master_url: base.masterUrl(), ca_fingerprint: base.ca_fingerprint }),
  })

  // What the fleet shall serve.
  const deployments_log = logOf('deployments')
  const deployments = makeDeployments({
    ...common,
    channel,
    tenancy,
    versions: versionReader,
    agents: agents.directory,
    random: Math.random,
    onError: (what, err) => deployments_log.error({ err, what }, 'A delivery met an error'),
  })
  const { lockWorkspace } = tenancy
  const { agentsOf } = agents.directory
  const config_log = logOf('config')
  const config = makeConfigService({
    ...common,
    audit,
    deployments,
    lockWorkspace,
    agentsOf,
    onError: (what, err) => config_log.error({ err, what }, 'A change was stored, its answer is incomplete'),
  })
  const fleet_doors = agents.open(deployments)
  // In this order: deployments find an agent's new facts in the directory.
  channel_server.listen(agents.listener)
  channel_server.listen(deployments.listener)

  const tenants = makeTenancyArea({
    ...common,
    audit,
    own: accounts.bindings.own,
    contents: [deployments.contents, configContents, fleet_doors.contents, accounts.contents],
    log: logOf('tenancy'),
  })

  const app = makeHttpApp({
    ...common,
    ...(base.rates ? { rates: base.rates } : {}),
    routes: {
      ...accounts.routes,
      ...auditRoutes(audit),
      ...tenants.routes,
      ...fleet_doors.routes,
      ...configRoutes(config),
      ...deploymentsRoutes(deployments),
    },
    authenticator: accounts.authenticator,
    secrets,
    log: logOf('http'),
    ready: base.ready,
    version: VERSION,
  })
  return {
    services: {
      db,
      audit,
      tenancy,
      setup: accounts.setup,
      channel,
      agents: agents.directory,
      config,
      deployments,
    },
    app,
    channel_door: channel_server,
    async recover() {
      await deployments.start()
      tenants.purger.wake()
    },
    closeChannel: () => channel_server.stop(),
    async stop() {
      await channel_server.stop()
      await tenants.purger.stop()
      await deployments.stop()
      await agents.stop()
    },
  }
}
