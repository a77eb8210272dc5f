import type { AgentFacts, Deployment, Kind, Labels } from '@nxmesh/contract'
import { callerWith, openTestAccess } from '../access/testing.ts'
import { openTestAudit } from '../audit/testing.ts'
import type { Channel } from '../channel/channel.ts'
import type { ConfigService } from '../config/config.ts'
import { makeConfigService } from '../config/config-service.ts'
import { versionReader } from '../config/versions.ts'
import type { Database } from '../database/database.ts'
import { newId } from '../ids.ts'
import { makeTenancy } from '../tenancy/tenancy-service.ts'
import { type DeploymentsService, makeDeployments } from './deployments-service.ts'
import type { DeliveryAgent, DeliveryTimes } from './engine.ts'
import { ScriptedAgent } from './testing-agent.ts'

export { fails, refuses, ScriptedAgent } from './testing-agent.ts'

/** A master's configuration and deployments on a real database, with agents that are scripted at the channel's interface. */

export const now = () => new Date()

export const OWNER = callerWith()

const FACTS = { hostname: 'h' } as unknown as AgentFacts
const TIMES: DeliveryTimes = {
  prepare_deadline_ms: 2_000,
  commit_deadline_ms: 2_000,
  retry_min_ms: 5,
  retry_max_ms: 20,
}

export interface World {
  readonly db: Database
  /** Called before each transaction of the master: to make it slow. */
  readonly writes: { before: () => Promise<void> }
  readonly workspace_id: string
  readonly agents: ScriptedAgent[]
  readonly errors: unknown[]
  config: ConfigService
  deployments: DeploymentsService
  /** A new agent that has joined; online. */
  join(name: string, labels?: Labels): Promise<ScriptedAgent>
  connect(agent: ScriptedAgent): Promise<void>
  disconnect(agent: ScriptedAgent): Promise<void>
  /** Kills the master: nothing of what it knew in memory is left, all agents lose their connection. A new one starts. */
  restart(): Promise<void>
  create(kind: Kind, data: Record<string, unknown>, wait?: boolean): ReturnType<ConfigService['create']>
  update(
    kind: Kind,
    id: string,
    patch: Record<string, unknown>,
    wait?: boolean,
  ): ReturnType<ConfigService['update']>
  remove(kind: Kind, id: string, wait?: boolean): ReturnType<ConfigService['remove']>
  stop(): Promise<void>
}

export async function openWorld(db: Database, times: Partial<DeliveryTimes> = {}): Promise<World> {
  const workspace_id = await makeWorkspace(db)
  const agents: ScriptedAgent[] = []
  const errors: unknown[] = []
  let life = 0
  const writes = { before: async () => {} }

  const master = () => {
    const mine = ++life
    // What a killed master had not written yet is never written.
    const own: Database = {
      ...db,
      write: async work => {
        if (mine !== life) throw new Error('killed')
        await writes.before()
        return await db.write(work)
      },
    }
    const audit = openTestAudit(db, now)
    const tenancy = makeTenancy({ audit, now, newId })
    const channel: Channel = {
      send(agent_id, message) {
        const agent = agents.find(one => one.id === agent_id)
        if (!agent?.online || mine !== life) return false
        // The wire: a copy, later.
        const copy = structuredClone(message)
        queueMicrotask(() => agent.online && agent.receive(copy))
        return true
      },
      isOnline: agent_id => mine === life && agents.some(one => one.id === agent_id && one.online),
      onlineAgents: () => new Set(agents.filter(one => one.online).map(one => one.id)),
      linkOf: () => null,
      cut() {},
      cutOutside() {},
    }
    const onError = (what: string, error: unknown) => void (mine === life && errors.push(`${what}: ${error}`))
    const deployments = makeDeployments({
      db: own,
      access: openTestAccess(db),
      channel,
      versions: versionReader,
      tenancy,
      agents: {
        agentsOf: async () => agents.map(known),
        workspaceOf: async id => (agents.some(one => one.id === id) ? workspace_id : null),
      },
      now,
      newId,
      random: () => 0,
      times: { ...TIMES, ...times },
      onError,
    })
    const lockWorkspace = tenancy.lockWorkspace
    const agentsOf = async () => agents
    const config = makeConfigService({
      db: own,
      access: openTestAccess(db),
      audit,
      deployments,
      lockWorkspace,
      agentsOf,
      now,
      newId,
      onError,
    })
    return { config, deployments }
  }

  const world: World = {
    db,
    writes,
    workspace_id,
    agents,
    errors,
    ...master(),
    async join(name, labels = {}) {
      const agent = new ScriptedAgent(name, labels)
      agents.push(agent)
      await world.connect(agent)
      return agent
    },
    async connect(agent) {
      agent.online = true
      let turn = Promise.resolve()
      const { listener } = world.deployments
      agent.say = message => {
        if (!agent.online) return
        turn = turn.then(() => listener.message(agent.id, structuredClone(message)))
      }
      await listener.connected(agent.id, FACTS, agent.position, '127.0.0.1')
    },
    async disconnect(agent) {
      agent.online = false
      agent.say = () => {}
      await world.deployments.listener.disconnected(agent.id)
    },
    async restart() {
      for (const agent of agents) {
        agent.online = false
        agent.say = () => {}
      }
      const dead = world.deployments
      Object.assign(world, master())
      await dead.stop()
      await world.deployments.start()
    },
    create: (kind, data, wait = true) =>
      world.config.create(OWNER, kind, { workspace_id, data, change_summary: undefined }, waitOf(wait)),
    update: (kind, id, patch, wait = true) =>
      world.config.update(
        OWNER,
        kind,
        id,
        { patch, if_match: null, change_summary: undefined },
        waitOf(wait),
      ),
    remove: (kind, id, wait = true) => world.config.remove(OWNER, kind, id, null, waitOf(wait)),
    async stop() {
      for (const agent of agents) agent.online = false
      await world.deployments.stop()
    },
  }
  await world.deployments.start()
  return world
}

const waitOf = (wait: boolean) => (wait ? { timeout_ms: 5_000 } : null)

const known = (agent: ScriptedAgent): DeliveryAgent => ({
  id: agent.id,
  name: agent.name,
  labels: agent.labels,
  facts: FACTS,
})

async function makeWorkspace(db: Database): Promise<string> {
  const organization_id = newId()
  const id = newId()
  const created_at = now().toISOString()
  await db.write(async tx => {
    const organization = {
      id: organization_id,
      name: 'o',
      slug: organization_id,
      settings_json: '{}',
      created_at,
    }
    await tx.insertInto('organizations').values(organization).execute()
    await tx
      .insertInto('workspaces')
      .values({
        id,
        organization_id,
        name: 'w',
        slug: 'w',
        deploy_mode: 'automatic',
        created_at,
        epoch: 1,
        generation: 0,
        release_number: 0,
      })
      .execute()
  })
  return id
}

/** What became of each target, by name: `a serving`. */
export const states = (deployment: Deployment | undefined) =>
  deployment?.targets.map(target => `${target.agent_name} ${target.state}`)

export const site = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  server_name: `${name}.example`,
  listen_port: 80,
  locations: [{ path: '/', root: '/srv' }],
  ...more,
})
export const pool = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  servers: [{ address: '10.0.0.1:80' }],
  ...more,
})
