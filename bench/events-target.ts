import { readFileSync } from 'node:fs'
import { makeClient } from '@nxmesh/contract/client'
import { loadConfig, startMaster } from '@nxmesh/master'
import { everyClass } from '@nxmesh/master/http/rate-limiter'
import pino from 'pino'

/**
 * The process that the benchmark of the events socket loads: a whole master, and beside it bare WebSockets over the same TLS that
 * get the bytes that are posted to them. Says on its output, as one line of JSON, where both listen; ends when its input ends.
 */

const KEYS = 40
const UNLIMITED = { burst: 1e9, per_s: 1e9 }

const [, , dir = '', certificate = '', key_file = ''] = process.argv
const config = await loadConfig({
  flags: {
    'data-dir': dir,
    listen: '127.0.0.1:0',
    'tls-certificate-file': certificate,
    'tls-key-file': key_file,
  },
})
const master = await startMaster(config, {
  log: pino({ level: 'error' }),
  rates: { principal: everyClass(UNLIMITED), address: everyClass(UNLIMITED) },
})
const base_url = `https://127.0.0.1:${master.port}`
const ca = readFileSync(certificate, 'utf8')
const user = { email: 'bench@example.com', password: 'a password of the benchmark' }
const session = await makeClient({ base_url, ca }).call('setup', {
  body: { setup_token: master.setup_token ?? '', ...user },
})
const client = makeClient({ base_url, ca, token: session.data.token })
const [workspace] = (await client.call('workspaces_list')).data
const organization_id = workspace?.organization_id ?? null
const api_keys: string[] = []
for (let n = 0; n < KEYS; n++) {
  const body = { name: `reader ${n}`, role: 'viewer' as const, organization_id }
  api_keys.push((await client.call('api_keys_create', { body })).data.key)
}

const readers = new Set<{ send(text: string): number }>()
const floor = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  tls: { cert: ca, key: readFileSync(key_file, 'utf8') },
  websocket: { open: ws => void readers.add(ws), close: ws => void readers.delete(ws), message() {} },
  async fetch(request, server) {
    if (server.upgrade(request)) return undefined
    const text = await request.text()
    for (const reader of readers) reader.send(text)
    return new Response()
  },
})

process.stdout.write(
  `${JSON.stringify({
    base_url,
    floor_url: `https://127.0.0.1:${floor.port}`,
    token: session.data.token,
    api_keys,
    workspace_id: workspace?.id ?? '',
    pid: process.pid,
  })}\n`,
)
process.stdin.resume().on('end', () => void end())

async function end(): Promise<void> {
  await floor.stop(true)
  await master.stop()
  process.exit(0)
}
