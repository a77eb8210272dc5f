import { createHash } from 'node:crypto'
import {
  type AgentFacts,
  type AgentMessage,
  type AgentPosition,
  type ConfigError,
  type Kind,
  type Labels,
  type ManifestEntry,
  type MasterMessage,
  type MasterMessageOf,
  PERMISSIONS,
} from '@nxmesh/contract'
import { applyDelta, manifestText, sortManifest } from '@nxmesh/contract/channel/manifest'
import { access } from '../access/access-rules.ts'
import type { Caller } from '../access/caller.ts'
import { makeAuditLog } from '../audit/audit-service.ts'
import type { Channel } from '../channel/channel.ts'
import { type ConfigService, makeConfigService } from '../config/config-service.ts'
import { versionReader } from '../config/versions.ts'
import type { Database } from '../database/database.ts'
import { newId } from '../ids.ts'
import { makeTenancy } from '../tenancy/tenancy-service.ts'
import { type DeploymentsService, makeDeployments } from './deployments-service.ts'
import type { DeliveryAgent, DeliveryTimes } from './engine.ts'

/** A master's configuration and deployments on a real database, with agents that are scripted at the channel's interface. */

export const now = () => new Date()

export function callerOf(permissions: readonly string[] = PERMISSIONS): Caller {
  return {
    principal: { type: 'user', id: newId() },
    name: 'Test',
    email: null,
    permissions: new Set(permissions) as Caller['permissions'],
    door: 'rest',
    ip_address: null,
    request_id: 'test',
    session_id: null,
  }
}

export const OWNER = callerOf()

const FACTS = { hostname: 'h' } as unknown as AgentFacts
const hashOf = (text: string) => createHash('sha256').update(text).digest('hex')
const noError = (message: string, resource: ConfigError['resource'] = null): ConfigError => ({
  message,
  file: null,
  line: null,
  resource,
})

/** What a scripted agent does with an order. `silent` answers nothing. */
export type PrepareAnswer = 'prepared' | 'silent' | { rejected: ConfigError } | { unable: string }
export type CommitAnswer = 'serving' | 'silent' | 'loaded' | { failed: ConfigError }

/** Keeps manifests and objects as the real one does, and refuses what does not add up or is out of order. */
export class ScriptedAgent {
  readonly id = newId()
  readonly name: string
  labels: Labels
  online = false
  onPrepare: (objects: unknown[], order: MasterMessageOf<'prepare'>) => PrepareAnswer = () => 'prepared'
  onCommit: (order: MasterMessageOf<'commit'>) => CommitAnswer = () => 'serving'
  readonly log: string[] = []
  readonly orders: MasterMessage[] = []
  position: AgentPosition = {
    epoch: 0,
    generation: 0,
    deployment_id: null,
    bundle_hash: null,
    tree_hash: null,
    hold: null,
  }
  readonly cache = new Map<string, string>()
  readonly manifests = new Map<string, ManifestEntry[]>()
  #order: MasterMessageOf<'prepare'> | null = null
  #manifest: ManifestEntry[] = []
  #awaited = 0
  #prepared: string | null = null
  say: (message: AgentMessage) => void = () => {}

  constructor(name: string, labels: Labels = {}) {
    this.name = name
    this.labels = labels
  }

  /** The virtual hosts that it serves now, by name. */
  get serving(): { name: string; version_number: number; server_names: string[] }[] {
    const manifest = this.manifests.get(this.position.bundle_hash ?? '') ?? []
    const sites = manifest.filter(([key]) => key.startsWith('virtual_host/'))
    return sites.map(([, hash]) => JSON.parse(this.cache.get(hash) ?? 'null'))
  }

  receive(message: MasterMessage): void {
    this.orders.push(message)
    this.log.push(message.type)
    if (message.type === 'prepare') this.#prepare(message)
    if (message.type === 'objects') this.#objects(message)
    if (message.type === 'commit') this.#commit(message)
    if (message.type === 'abort') this.#prepared = null
  }

  #prepare(order: MasterMessageOf<'prepare'>): void {
    const { epoch, generation, deployment_id } = order
    if (
      epoch < this.position.epoch ||
      (epoch === this.position.epoch && generation < this.position.generation)
    ) {
      this.log.push('too late')
      this.say({
        type: 'unable',
        epoch,
        generation,
        deployment_id,
        message: 'a newer order was answered',
      })
      return
    }
    this.position = { ...this.position, epoch, generation }
    this.#order = order
    const { base } = order.manifest
    const known = base === null ? [] : this.manifests.get(base)
    if (!known) {
      this.say({ type: 'need', deployment_id, manifest: true, hashes: [] })
      return
    }
    this.#manifest = applyDelta(known, order.manifest)
    this.#awaited = order.object_count
    if (this.#awaited === 0) this.#check()
  }

  #objects(message: MasterMessageOf<'objects'>): void {
    for (const { hash, json } of message.objects) {
      if (hashOf(json) !== hash) throw new Error(`object ${hash} is not what it says`)
      this.cache.set(hash, json)
      this.#awaited--
    }
    if (this.#awaited <= 0) this.#check()
  }

  #check(): void {
    const order = this.#order
    if (!order) return
    const hashes = this.#manifest.map(([, hash]) => hash).filter(hash => !this.cache.has(hash))
    if (hashes.length > 0) {
      this.#awaited = hashes.length
      this.say({ type: 'need', deployment_id: order.deployment_id, manifest: false, hashes })
      return
    }
    if (hashOf(manifestText(sortManifest(this.#manifest))) !== order.bundle_hash)
      throw new Error('the manifest is not what its hash says')
    this.manifests.set(order.bundle_hash, this.#manifest)
    const objects = this.#manifest.map(([, hash]) => JSON.parse(this.cache.get(hash) ?? 'null'))
    this.#answer(order, this.onPrepare(objects, order))
  }

  #answer(order: MasterMessageOf<'prepare'>, answer: PrepareAnswer): void {
    const { epoch, generation, deployment_id, bundle_hash } = order
    const head = { epoch, generation, deployment_id }
    if (answer === 'silent') return
    if (answer === 'prepared') {
      this.#prepared = bundle_hash
      this.say({
        type: 'prepared',
        ...head,
        bundle_hash,
        tree_hash: hashOf(bundle_hash),
        timings_ms: { render: 1 },
      })
    } else if ('rejected' in answer)
      this.say({ type: 'rejected', ...head, error: answer.rejected, timings_ms: {} })
    else this.say({ type: 'unable', ...head, message: answer.unable })
  }

  #commit(order: MasterMessageOf<'commit'>): void {
    const { epoch, generation, deployment_id, bundle_hash } = order
    const head = { epoch, generation, deployment_id }
    if (this.#prepared !== bundle_hash && this.position.bundle_hash !== bundle_hash) {
      this.say({ type: 'unable', ...head, message: 'this was not prepared' })
      return
    }
    const answer = this.onCommit(order)
    if (answer === 'silent') return
    const at = now().toISOString()
    if (typeof answer === 'object') {
      this.say({ type: 'failed', ...head, at, error: answer.failed, swapped_back: true, timings_ms: {} })
      return
    }
    this.say({ type: 'loaded', ...head, at })
    if (answer === 'loaded') return
    this.position = { ...this.position, deployment_id, bundle_hash, tree_hash: hashOf(bundle_hash) }
    this.say({ type: 'serving', ...head, at, tree_hash: hashOf(bundle_hash), timings_ms: { reload: 2 } })
  }
}

export const refuses = (message: string, kind?: string, id?: string): { rejected: ConfigError } => ({
  rejected: noError(message, kind && id ? { kind, id } : null),
})
export const fails = (message: string, kind?: string, id?: string): { failed: ConfigError } => ({
  failed: noError(message, kind && id ? { kind, id } : null),
})

const TIMES: DeliveryTimes = {
  prepare_deadline_ms: 2_000,
  commit_deadline_ms: 2_000,
  retry_min_ms: 5,
  retry_max_ms: 20,
}

export interface World {
  readonly db: Database
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

  const master = () => {
    const mine = ++life
    const audit = makeAuditLog({ db, now, newId })
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
      cut() {},
    }
    const deployments = makeDeployments({
      db,
      access,
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
      onError: (what, error) => void (mine === life && errors.push(`${what}: ${error}`)),
    })
    const lockWorkspace = tenancy.lockWorkspace
    const config = makeConfigService({ db, access, audit, deployments, lockWorkspace, now, newId })
    return { config, deployments }
  }

  const world: World = {
    db,
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

const DEADLINE_MS = 5_000

/** Waits until something is so; throws when it is not within 5 s. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const until_ms = performance.now() + DEADLINE_MS
  while (!(await holds())) {
    if (performance.now() > until_ms) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

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
