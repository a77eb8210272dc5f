import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Link, type LinkOptions, startLink } from '@nxmesh/agent/link/link'
import { type RegisteredIdentity, register } from '@nxmesh/agent/link/register'
import type { KeptKeys } from '@nxmesh/agent/link/session-keys'
import type { AuditEntry } from '@nxmesh/contract'
import { type Client, makeClient } from '@nxmesh/contract/client'
import { loadConfig, type MasterOverrides, type RunningMaster, startMaster } from '@nxmesh/master'
import { everyClass } from '@nxmesh/master/http/rate-limiter'
import { makeLog } from '@nxmesh/master/log'
import { until } from '../support/until.ts'
import { makeSimulatedOrders, type SimulatedOrders } from './simulated-orders.ts'
import { makeWire, type Wire } from './wire.ts'

/** A master in this process, and agents whose links are real and whose nginx is simulated, each behind a wire of its own. */
export interface Fleet {
  readonly master: RunningMaster
  readonly client: Client
  readonly workspace_id: string
  readonly agents: readonly FleetAgent[]
  /** `from`: the address that the master sees, one of 127.0.0.0/8. */
  addAgents(count: number, options?: Partial<LinkOptions>, from?: string): Promise<FleetAgent[]>
  /** A token of the workspace for new agents. */
  newToken(max_uses: number): Promise<string>
  /** Registers over TLS with the CA pinned; `master_url` is the way of the registration. */
  register(
    token: string,
    name: string,
    change?: { ca_fingerprint?: string; server_key_pins?: readonly string[] },
  ): Promise<RegisteredIdentity>
  /** Audit rows of this action, newest first. */
  audit(action: string): Promise<AuditEntry[]>
  stopMaster(): Promise<void>
  /** On the same data and the same port. */
  startMasterAgain(): Promise<void>
  stop(): Promise<void>
}

export interface FleetAgent {
  readonly id: string
  readonly name: string
  readonly identity: RegisteredIdentity
  readonly orders: SimulatedOrders
  readonly wire: Wire
  readonly link: () => Link
  /** The session keys as they lie in its state folder. */
  keys(): KeptKeys
  /** As a killed process: the link is gone, what is served stays. */
  kill(): Promise<void>
  start(options?: Partial<LinkOptions>): void
}

/** Tests do not wait half a minute for a reconnection. */
export const QUICK: LinkOptions['limits'] & object = { reconnect_min_ms: 20, reconnect_max_ms: 300 }
const NO_RATE = everyClass({ burst: 1_000_000, per_s: 1_000_000 })
const silent = () => undefined
/** The master's warnings, for whoever looks for the reason of a failure. */
const LOG = process.env.NXMESH_TEST_LOG ? process.stderr : { write: silent }
const PASSWORD = 'a long password for tests'

export interface FleetOptions {
  /** More settings of the master. */
  readonly flags?: Readonly<Record<string, string>>
  readonly overrides?: Partial<MasterOverrides>
  readonly now?: () => Date
}

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const data_dir = mkdtempSync(join(tmpdir(), 'nxmesh-fleet-'))
  const run = async (port: number) => {
    const flags = { 'data-dir': data_dir, listen: `127.0.0.1:${port}`, ...options.flags }
    const config = await loadConfig({ flags })
    return await startMaster(config, {
      log: makeLog('warn', LOG),
      ...(options.now ? { now: options.now } : {}),
      rates: { principal: NO_RATE, address: NO_RATE },
      ...options.overrides,
    })
  }
  let master = await run(0)
  const base = { base_url: master.url, ca: master.ca_pem }
  const made = await makeClient(base).call('setup', {
    body: { setup_token: master.setup_token ?? '', email: 'owner@example.com', password: PASSWORD },
  })
  const client = makeClient({ ...base, token: made.data.token })
  const workspace_id = (await client.call('workspaces_list')).data[0]?.id ?? ''
  const agents: FleetAgent[] = []

  const fleet: Fleet = {
    get master() {
      return master
    },
    client,
    workspace_id,
    agents,
    async newToken(max_uses) {
      const body = { max_uses }
      return (await client.call('workspace_tokens_create', { params: { id: workspace_id }, body })).data.token
    },
    register: (token, name, change) =>
      register({
        master_url: master.url,
        token,
        ca_fingerprint: master.ca_fingerprint,
        name,
        hostname: 'simulated',
        version: '0.1.0',
        ...change,
      }),
    async addAgents(count, options = {}, from = '127.0.0.1') {
      const token = await fleet.newToken(count)
      const added: FleetAgent[] = []
      for (let n = 0; n < count; n++) {
        const name = `agent-${agents.length + 1}`
        const identity = await fleet.register(token, name)
        const agent = await makeFleetAgent(identity, master.port, from)
        agents.push(agent)
        added.push(agent)
        agent.start(options)
      }
      return added
    },
    async audit(action) {
      return (await client.call('audit_log_list', { query: { action, per_page: 200 } })).data
    },
    stopMaster: () => master.stop(),
    async startMasterAgain() {
      master = await run(master.port)
    },
    async stop() {
      await Promise.all(agents.map(agent => agent.kill()))
      await Promise.all(agents.map(agent => agent.wire.close()))
      await master.stop()
      rmSync(data_dir, { recursive: true, force: true })
    },
  }
  return fleet
}

async function makeFleetAgent(identity: RegisteredIdentity, port: number, from: string): Promise<FleetAgent> {
  const wire = await makeWire(port, from)
  const orders = makeSimulatedOrders(identity.name)
  let link: Link | null = null
  let kept: KeptKeys = { ...identity, other_key: null }
  return {
    id: identity.agent_id,
    name: identity.name,
    identity,
    orders,
    wire,
    link() {
      if (!link) throw new Error(`${identity.name} is not started`)
      return link
    },
    keys: () => kept,
    async kill() {
      await link?.stop()
      link = null
    },
    start(options = {}) {
      link = startLink({
        identity: { ...identity, ...kept, master_url: `https://127.0.0.1:${wire.port}` },
        saveKeys: keys => {
          kept = keys
        },
        orders,
        log: silent,
        limits: QUICK,
        instance: crypto.randomUUID(),
        ...options,
      })
    },
  }
}

export const allConnected = (agents: readonly FleetAgent[]) =>
  until(`${agents.length} agents to be connected`, () => agents.every(agent => agent.link().connected), {
    deadline_ms: 60_000,
  })

/** Whether each agent serves what the master last decided for it, as both of them say. */
export async function converged(fleet: Fleet, agents = fleet.agents): Promise<boolean> {
  const rows = await fleet.master.services.db.read.selectFrom('agent_positions').selectAll().execute()
  const by_agent = new Map(rows.map(row => [row.agent_id, row]))
  return agents.every(agent => {
    const row = by_agent.get(agent.id)
    const { bundle_hash } = agent.orders.position()
    return row !== undefined && bundle_hash !== null && row.desired_bundle_hash === bundle_hash
  })
}
