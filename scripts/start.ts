import { rmSync } from 'node:fs'
import { openAccount } from './demo/account.ts'
import { agentIsOnline, prepareAgent } from './demo/agent.ts'
import { type ChildEnd, Children } from './demo/children.ts'
import { fromSource, makeFolders, startAgent, startMaster, startNginx } from './demo/daemons.ts'
import { loadMemory, type Memory, writePrivate } from './demo/memory.ts'
import { makeSamplePage } from './demo/nginx-files.ts'
import { requireFreePorts } from './demo/ports.ts'
import { serveSampleSite } from './demo/sample-site.ts'
import { type DemoSettings, demoSettings } from './demo/settings.ts'

/** `npm start`: master, one agent and one private nginx with a sample site, until a signal ends them all. */

const began_ms = Date.now()

const say = (text: string) =>
  console.log(`[${((Date.now() - began_ms) / 1000).toFixed(1).padStart(5)} s] ${text}`)

async function start(settings: DemoSettings, children: Children): Promise<Memory> {
  const { paths } = settings
  makeFolders(settings)
  const memory = loadMemory(paths.memory)
  say(`starting the master on ${settings.url}`)
  const greeting = await startMaster(settings, children, fromSource)
  const client = await openAccount(settings, memory, greeting.setup_token)
  say('starting nginx and the agent beside it')
  startNginx(settings, children)
  startAgent(
    settings,
    children,
    fromSource,
    await prepareAgent(client, settings, memory, greeting.ca_fingerprint),
  )
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
  let ending = false
  void over.promise.then(() => {
    ending = true
  })
  const children = new Children(paths.logs, end => {
    explain(end)
    over.resolve(1)
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => over.resolve(0))
  start(settings, children).then(
    memory => announce(settings, memory),
    error => {
      // What fails because everything is being ended is no news.
      if (!ending) console.error(`start: ${reasonOf(error)}`)
      over.resolve(1)
    },
  )
  const status = await over.promise
  console.log('ending master, agent and nginx')
  rmSync(paths.credentials, { force: true })
  await children.stop()
  return status
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`start: ${reasonOf(error)}`)
  process.exitCode = 1
}
process.exit()
