import type { Logger } from 'pino'
import { makeAccess } from './access/access-service.ts'
import { makeAccessArea } from './access/make-access.ts'
import type { Setup } from './access/setup-service.ts'
import { admits } from './addresses.ts'
import { makeAgentKeys } from './agents/agent-keys-service.ts'
import type { AgentDirectory } from './agents/agents.ts'
import { makeAgentsArea } from './agents/make-agents.ts'
import type { AuditLog } from './audit/audit.ts'
import { auditRoutes } from './audit/audit-routes.ts'
import { type AuditReader, makeAuditReader } from './audit/audit-service.ts'
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
import type { EventSocket } from './events/event-socket.ts'
import type { EventsDoor } from './events/events.ts'
import { makeEvents } from './events/make-events.ts'
import type { Publisher } from './events/publish.ts'
import { type HttpApp, type HttpDeps, makeHttpApp } from './http/make-http-app.ts'
import type { Outgoing } from './outgoing/outgoing.ts'
import type { Secrets } from './secrets/secrets.ts'
import type { ChannelDoor } from './serve.ts'
import { makeTenancyArea } from './tenancy/make-tenancy.ts'
import { makeOrigins } from './tenancy/origins.ts'
import { makePlaces } from './tenancy/places.ts'
import type { Tenancy } from './tenancy/tenancy.ts'
import { makeTenancy } from './tenancy/tenancy-service.ts'
import { VERSION } from './version.ts'

/** What the areas stand on. */
export interface Compose {
  readonly db: Database
  readonly secrets: Secrets
  readonly audit: AuditLog
  /** Made with the audit log, which tells it of each row. */
  readonly publisher: Publisher
  readonly log: Logger
  readonly now: () => Date
  readonly newId: () => string
  /** Under which agents reach the master; known once it listens. */
  readonly masterUrl: () => string
  /** Of the CA that agents shall pin; another one once the operator's certificate has another CA. */
  readonly caFingerprint: () => string
  /** For requests to places that people configure. */
  readonly outgoing: Outgoing
  /** Of the listener's certificate. */
  readonly serverKeyPin: () => string
  readonly agent_keys: { readonly max_age_days: number; readonly grace_s: number }
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
  readonly events_door: EventsDoor<EventSocket>
  /** Sends the agents away, and those who read events; they come back by themselves. */
  closeSockets(): Promise<void>
  /** After the listeners are closed: nothing writes any more when it resolves. */
  stop(): Promise<void>
}

const DAY_MS = 86_400_000

/** The one place that knows every area and joins them. */
export function compose(base: Compose): Composed {
  const { db, secrets, log, now, newId } = base
  const logOf = (component: string) => log.child({ component })
  const places = makePlaces(db)
  const access = makeAccess(places)
  const common = { db, database: db, now, newId, access, places }

  // What everyone stands on.
  const { publisher } = base
  const { changes } = publisher
  const audit = { ...base.audit, ...makeAuditReader(common) }
  const tenancy = makeTenancy({ ...common, audit })
  const accounts = makeAccessArea({
    ...common,
    secrets,
    audit,
    tenancy,
    masterUrl: base.masterUrl,
    outgoing: base.outgoing,
    log: logOf('access'),
  })

  // The fleet.
  const keys = makeAgentKeys({ ...common, secrets, grace_ms: base.agent_keys.grace_s * 1_000 })
  const origins = makeOrigins(db)
  const channel_server = makeChannelServer({ ...common, keys, origins, audit, log: logOf('channel') })
  const { channel } = channel_server
  const agents = makeAgentsArea({
    ...common,
    audit,
    tenancy,
    keys,
    channel,
    changed: changes.agent,
    log: logOf('agents'),
    key_max_age_ms: base.agent_keys.max_age_days * DAY_MS,
    joinTarget: () => ({
      master_url: base.masterUrl(),
      ca_fingerprint: base.caFingerprint(),
      server_key_pin: base.serverKeyPin(),
    }),
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
    changed: {
      deployment: changes.deployment,
      position: agent_id => changes.agent({ agent_id, workspace_id: null }),
    },
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
  const originsChanged = (workspace_id: string, cidrs: readonly string[] | null) => {
    origins.forget(workspace_id)
    channel.cutOutside(workspace_id, ip_address => admits(cidrs, ip_address))
  }
  const fleet_doors = agents.open(deployments)
  // In this order: deployments find an agent's new facts in the directory.
  channel_server.listen(agents.listener)
  channel_server.listen(deployments.listener)

  const tenants = makeTenancyArea({
    ...common,
    audit,
    own: accounts.bindings.own,
    originsChanged,
    contents: [deployments.contents, configContents, fleet_doors.contents, accounts.contents],
    log: logOf('tenancy'),
  })
  const events = makeEvents({
    ...common,
    publisher,
    read: {
      deployments: deployments.read,
      agents: fleet_doors.read,
      workspaceOf: agents.directory.workspaceOf,
      organizationOf: async id => (await places.placeOf(id))?.organization_id ?? null,
    },
    authenticator: accounts.authenticator,
    standings: accounts.standings,
    log: logOf('events'),
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
    events_door: events,
    async recover() {
      await deployments.start()
      agents.start()
      tenants.purger.wake()
    },
    closeSockets() {
      events.stop()
      return channel_server.stop()
    },
    async stop() {
      events.stop()
      await channel_server.stop()
      await tenants.purger.stop()
      await deployments.stop()
      await agents.stop()
    },
  }
}
