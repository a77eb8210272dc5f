import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makePrivateNginx, type PrivateNginx } from '@nxmesh/agent/testing/private-nginx'
import type { Deployment } from '@nxmesh/contract'
import { type Client, makeClient } from '@nxmesh/contract/client'
import { type Running, runProgram } from './processes.ts'
import { until } from './until.ts'

/**
 * The whole system as its users run it: the master and each agent as processes of their own, each agent beside a real
 * nginx in a temporary folder. Everything on loopback and on free ports; `stop` leaves nothing behind.
 */
export interface System {
  readonly folder: string
  readonly client: Client
  readonly workspace_id: string
  readonly organization_id: string
  readonly master: MasterProcess
  addAgent(options?: AgentOptions): Promise<AgentUnderTest>
  deployment(id: string | null): Promise<Deployment>
  stop(): Promise<void>
}

export interface MasterProcess {
  readonly url: string
  readonly plain_url: string
  readonly ca_fingerprint: string
  running(): Running
  /** Starts it again on the same data and the same ports. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>
}

export interface AgentOptions {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly nginx_binary?: string
  readonly env?: Readonly<Record<string, string>>
  readonly workers?: number
}

export interface AgentUnderTest {
  readonly id: string
  readonly nginx: PrivateNginx
  readonly state_dir: string
  running(): Running
  /** Starts it again with the same identity; `env` adds to or replaces what it had. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>
  online(): Promise<void>
  /** Runs a subcommand (`status`, `rollback`) beside the agent. */
  command(...args: string[]): Promise<{ code: number | null; output: string }>
}

const START_MS = 60_000

export async function startSystem(): Promise<System> {
  const folder = mkdtempSync(join(tmpdir(), 'nxmesh-e2e-'))
  const endings: (() => Promise<void>)[] = [async () => rmSync(folder, { recursive: true, force: true })]
  const stop = async () => {
    for (const end of endings.splice(0).reverse()) await end()
  }
  try {
    const master = await startMasterProcess(folder)
    endings.push(() => master.process.running().stop())
    const anonymous = makeClient({ base_url: master.process.plain_url })
    const session = await anonymous.call('setup', {
      body: {
        setup_token: master.setup_token,
        email: 'owner@example.com',
        password: 'a long password for tests',
      },
    })
    const signed_in = makeClient({ base_url: master.process.plain_url, token: session.data.token })
    const workspace = (await signed_in.call('workspaces_list')).data[0]
    if (!workspace) throw new Error('set-up made no workspace')
    const { organization_id } = workspace
    const key = await signed_in.call('api_keys_create', {
      body: { name: 'tests', role: 'owner', organization_id },
    })
    const client = makeClient({ base_url: master.process.plain_url, token: key.data.key })
    let agents = 0
    return {
      folder,
      client,
      workspace_id: workspace.id,
      organization_id: workspace.organization_id,
      master: master.process,
      addAgent: async options => {
        const made = await startAgent(
          { client, folder, master: master.process, workspace_id: workspace.id, number: ++agents },
          options ?? {},
        )
        endings.push(made.end)
        return made.agent
      },
      deployment: async id => (await client.call('deployments_get', { params: { id: id ?? '' } })).data,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startMasterProcess(folder: string): Promise<{ process: MasterProcess; setup_token: string }> {
  const ports = { tls: '0', plain: '0' }
  const start = (env: Readonly<Record<string, string>> = {}) => {
    const listen = ['--listen', `127.0.0.1:${ports.tls}`, '--listen-plain', `127.0.0.1:${ports.plain}`]
    return runProgram('nxmesh', ['master', 'run', '--data-dir', join(folder, 'master'), ...listen], env)
  }
  const greeted = (running: Running) =>
    until(
      'the greeting of the master',
      () => {
        if (running.hasExited()) throw new Error(running.output())
        return /CA fingerprint/.test(running.output()) && running.output()
      },
      { deadline_ms: START_MS },
    )
  let running = start()
  const text = await greeted(running)
  const found = (label: string) => new RegExp(`^ +${label} +(\\S+)$`, 'm').exec(text)?.[1] ?? ''
  const [url, plain_url] = [found('URL'), found('plain URL')]
  ports.tls = new URL(url).port
  ports.plain = new URL(plain_url).port
  const process: MasterProcess = {
    url,
    plain_url,
    ca_fingerprint: found('CA fingerprint'),
    running: () => running,
    restart: async env => {
      await running.kill()
      running = start(env)
      await greeted(running)
    },
  }
  return { process, setup_token: found('setup token') }
}

interface Place {
  readonly client: Client
  readonly folder: string
  readonly master: MasterProcess
  readonly workspace_id: string
  readonly number: number
}

async function startAgent(
  place: Place,
  options: AgentOptions,
): Promise<{ agent: AgentUnderTest; end: () => Promise<void> }> {
  const { client, master, workspace_id } = place
  const name = options.name ?? `agent-${place.number}`
  const made = await client.call('agents_create', {
    body: { workspace_id, name, labels: { ...options.labels } },
  })
  const id = made.data.id
  const token = (await client.call('agent_tokens_create', { params: { id }, body: {} })).data.token
  const state_dir = join(place.folder, name)
  mkdirSync(state_dir, { recursive: true, mode: 0o700 })
  const nginx = await makePrivateNginx({
    ...(options.nginx_binary ? { binary: options.nginx_binary } : {}),
    workers: options.workers ?? 2,
  })
  await nginx.start()
  const base = { ...agentEnv(master, nginx, state_dir, options.nginx_binary), ...options.env }
  let running = runProgram('nxmesh-agent', ['run'], { ...base, NXMESH_TOKEN: token })
  const online = async () => {
    await until(
      `${name} to be online`,
      async () => {
        if (running.hasExited()) throw new Error(running.output())
        const { data } = await client.call('agents_get', { params: { id } })
        return data.state === 'online' || data.state === 'degraded'
      },
      { deadline_ms: START_MS },
    )
  }
  const agent: AgentUnderTest = {
    id,
    nginx,
    state_dir,
    running: () => running,
    restart: async env => {
      await running.kill()
      running = runProgram('nxmesh-agent', ['run'], { ...base, ...env })
    },
    online,
    command: async (...args) => {
      const command = runProgram('nxmesh-agent', args, base)
      const code = await command.exited
      return { code, output: command.output() }
    },
  }
  const end = async () => {
    await running.stop()
    await nginx.close()
  }
  try {
    await online()
  } catch (error) {
    await end()
    throw error
  }
  return { agent, end }
}

const agentEnv = (master: MasterProcess, nginx: PrivateNginx, state_dir: string, binary?: string) => ({
  NXMESH_MASTER_URL: master.url,
  NXMESH_CA_FINGERPRINT: master.ca_fingerprint,
  NXMESH_STATE_DIR: state_dir,
  NXMESH_NGINX_PREFIX: nginx.folder,
  NXMESH_NGINX_CONF_PATH: nginx.conf_path,
  NXMESH_NGINX_LISTEN_ADDRESS: '127.0.0.1',
  ...(binary ? { NXMESH_NGINX_BINARY: binary } : {}),
})
