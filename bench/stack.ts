import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@nxmesh/contract/client'
import { openAccount } from '../scripts/demo/account.ts'
import { agentIsOnline, prepareAgent } from '../scripts/demo/agent.ts'
import { type ChildEnd, Children } from '../scripts/demo/children.ts'
import { fromDist, makeFolders, startAgent, startMaster, startNginx } from '../scripts/demo/daemons.ts'
import { loadMemory, type Memory } from '../scripts/demo/memory.ts'
import { type DemoSettings, settingsFor } from '../scripts/demo/settings.ts'
import { until } from '../scripts/demo/until.ts'

const START_DEADLINE_MS = 60_000

/** The built executables and a real nginx in a temporary folder, on free ports. */
export interface Stack {
  readonly settings: DemoSettings
  readonly client: Client
  readonly workspace_id: string
  readonly agent_id: string
  pid(name: 'master' | 'agent' | 'nginx'): number
  /** Starts nginx and the agent, and waits until the agent is online. */
  startAgent(): Promise<void>
  stop(): Promise<void>
}

export async function startStack(): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), 'nxmesh-bench-'))
  const [tls_port, plain_port, nginx_port] = [await freePort(), await freePort(), await freePort()]
  const settings = settingsFor(dir, { tls_port, plain_port, nginx_port })
  makeFolders(settings)
  const children = new Children(settings.paths.logs, broken)
  const memory = loadMemory(settings.paths.memory)
  const greeting = await startMaster(settings, children, fromDist)
  const client = await openAccount(settings, memory, greeting.setup_token)
  const config = await prepareAgent(client, settings, memory, greeting.ca_fingerprint)
  return {
    settings,
    client,
    workspace_id: known(memory, 'workspace_id'),
    agent_id: known(memory, 'agent_id'),
    pid: name => children.pid(name),
    async startAgent() {
      startNginx(settings, children)
      await until('nginx’s start', START_DEADLINE_MS, async () => nginxPid(settings))
      startAgent(settings, children, fromDist, config)
      await agentIsOnline(client, memory)
    },
    async stop() {
      await children.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const nginxPid = ({ paths }: DemoSettings): number | null =>
  Number(readFileSync(join(paths.nginx, 'nginx.pid'), 'utf8')) || null

function known(memory: Memory, key: 'workspace_id' | 'agent_id'): string {
  const value = memory[key]
  if (value === undefined) throw new Error(`${key} is not known`)
  return value
}

/** A benchmark without one of its processes measures nothing. */
function broken(end: ChildEnd): void {
  console.error(`${end.name} ended by itself (${end.how}):\n${end.last_lines.join('\n')}`)
  process.exit(1)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = probe.address()
      const port = typeof address === 'object' && address ? address.port : 0
      probe.close(() => resolve(port))
    })
  })
}
