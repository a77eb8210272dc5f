import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openAccount } from './demo/account.ts'
import { agentIsOnline, prepareAgent } from './demo/agent.ts'
import { type ChildEnd, Children } from './demo/children.ts'
import { loadMemory, type Memory, writePrivate } from './demo/memory.ts'
import { makeNginxFiles, makeSamplePage } from './demo/nginx-files.ts'
import { requireFreePorts } from './demo/ports.ts'
import { serveSampleSite } from './demo/sample-site.ts'
import { type DemoSettings, demoSettings } from './demo/settings.ts'
import { until } from './demo/until.ts'

/** `npm start`: master, one agent and one private nginx with a sample site, until a signal ends them all. */

const MASTER_DEADLINE_MS = 60_000
const ROOT = join(import.meta.dir, '..')
const began_ms = Date.now()

const say = (text: string) =>
  console.log(`[${((Date.now() - began_ms) / 1000).toFixed(1).padStart(5)} s] ${text}`)

/** Settings of ours in the reader's environment are not meant for the demo's processes. */
const childEnv = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('NXMESH_')))

const entry = (name: string) => [process.execPath, '--no-env-file', join(ROOT, 'bin', name)]

interface Greeting {
  readonly setup_token: string | null
  readonly ca_fingerprint: string
}

async function startMaster(settings: DemoSettings, children: Children): Promise<Greeting> {
  const told = { setup_token: null as string | null, ca_fingerprint: '' }
  children.start({
    name: 'master',
    command: [
      ...entry('nxmesh.ts'),
      ...['master', 'run', '--data-dir', settings.paths.master_data],
      ...['--listen', `127.0.0.1:${settings.tls_port}`, '--listen-plain', `127.0.0.1:${settings.plain_port}`],
    ],
    cwd: settings.dir,
    env: childEnv(),
    end_signal: 'SIGTERM',
    on_line: line => {
      told.setup_token = /^ +setup token +(\S+)$/.exec(line)?.[1] ?? told.setup_token
      told.ca_fingerprint = /^ +CA fingerprint +(\S+)$/.exec(line)?.[1] ?? told.ca_fingerprint
    },
  })
  await until('the master’s start', MASTER_DEADLINE_MS, async () => {
    const ready = told.ca_fingerprint !== '' && (await fetch(`${settings.plain_url}/readyz`)).ok
    return ready || null
  })
  return told
}

function startNginx(settings: DemoSettings, children: Children): void {
  makeNginxFiles(settings)
  const prefix = settings.paths.nginx
  children.start({
    name: 'nginx',
    command: ['nginx', '-p', prefix, '-c', join(prefix, 'nginx.conf'), '-g', 'daemon off;'],
    cwd: prefix,
    env: childEnv(),
    end_signal: 'SIGTERM',
  })
}

function startAgent(settings: DemoSettings, children: Children, config: string): void {
  const command = [...entry('nxmesh-agent.ts'), 'run', '--config', config]
  children.start({ name: 'agent', command, cwd: settings.dir, env: childEnv(), end_signal: 'SIGTERM' })
}

async function start(settings: DemoSettings, children: Children): Promise<Memory> {
  const { paths } = settings
  for (const folder of [paths.logs, paths.agent_state, paths.master_data])
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  const memory = loadMemory(paths.memory)
  say(`starting the master on ${settings.url}`)
  const greeting = await startMaster(settings, children)
  const client = await openAccount(settings, memory, greeting.setup_token)
  say('starting nginx and the agent beside it')
  startNginx(settings, children)
  startAgent(settings, children, await prepareAgent(client, settings, memory, greeting.ca_fingerprint))
  await agentIsOnline(client, memory)
  say(memory.sample_site_made ? 'waiting for nginx to answer' : 'creating a sample site through the API')
  makeSamplePage(settings)
  await serveSampleSite(client, settings, memory)
  return memory
}

function announce(settings: DemoSettings, memory: Memory): void {
  const { url, plain_url, nginx_url, paths } = settings
  const { email, password, api_key, organization_id, workspace_id, agent_id } = memory
  const ids = { organization_id, workspace_id, agent_id }
  writePrivate(paths.credentials, { url, plain_url, email, password, api_key, ...ids, nginx_url })
  say('everything serves')
  console.log(`
  sample site   ${nginx_url}
  API           ${url}/api/v1 (certificate of its own CA) and ${plain_url}/api/v1
  login         ${email}   ${password}
  API key       ${api_key}
  all of this   ${paths.credentials}
  logs          ${paths.logs}

  Try:  curl -H 'Authorization: Bearer ${api_key}' '${plain_url}/api/v1/virtual-hosts?workspace_id=${workspace_id}'

  Ctrl-C ends everything.
`)
}

function explain(end: ChildEnd): void {
  console.error(`\n${end.name} ended by itself (${end.how}); ending the rest. Its last lines:`)
  for (const line of end.last_lines) console.error(`  ${line.slice(0, 400)}`)
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error
  return cause ? `${message}: ${reasonOf(cause)}` : message
}

async function main(): Promise<number> {
  const settings = demoSettings(process.env)
  const { tls_port, plain_port, nginx_port, paths } = settings
  await requireFreePorts({ 'master, HTTPS': tls_port, 'master, HTTP': plain_port, nginx: nginx_port })
  rmSync(paths.credentials, { force: true })

  const over = Promise.withResolvers<number>()
  const children = new Children(paths.logs, end => {
    explain(end)
    over.resolve(1)
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => over.resolve(0))
  start(settings, children).then(
    memory => announce(settings, memory),
    error => {
      console.error(`start: ${reasonOf(error)}`)
      over.resolve(1)
    },
  )
  const status = await over.promise
  console.log('ending master, agent and nginx')
  await children.stop()
  rmSync(paths.credentials, { force: true })
  return status
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`start: ${reasonOf(error)}`)
  process.exitCode = 1
}
process.exit()
