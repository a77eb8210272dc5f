import { afterAll, afterEach, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { makeClient } from '@nxmesh/contract'
import pino from 'pino'
import { loadConfig } from './config.ts'
import { allowForBusyMachines, makeTestUrl } from './database/testing.ts'
import { type MasterOverrides, type RunningMaster, startMaster } from './main.ts'

allowForBusyMachines()
const root = mkdtempSync(join(tmpdir(), 'nxmesh-main-'))
afterAll(() => rmSync(root, { recursive: true }))
const running: RunningMaster[] = []
afterEach(async () => {
  for (const master of running.splice(0)) await master.stop()
})

let folders = 0
const newFolder = () => join(root, `data-${++folders}`)

async function start(
  data_dir: string,
  flags: Record<string, string> = {},
  overrides: Partial<MasterOverrides> = {},
) {
  const config = await loadConfig({
    flags: { 'data-dir': data_dir, listen: '127.0.0.1:0', 'listen-plain': '127.0.0.1:0', ...flags },
  })
  const master = await startMaster(config, { log: pino({ level: 'silent' }), ...overrides })
  running.push(master)
  return master
}

const get = (master: RunningMaster, path: string) =>
  fetch(master.url + path, { tls: { ca: master.ca_pem } } as RequestInit)

async function setUp(master: RunningMaster) {
  const base_url = master.plain_url ?? ''
  const body = {
    setup_token: master.setup_token ?? '',
    email: 'ada@example.com',
    password: 'correct horse battery',
  }
  const { data } = await makeClient({ base_url }).call('setup', { body })
  return makeClient({ base_url, token: data.token })
}

async function logIn(master: RunningMaster) {
  const base_url = master.plain_url ?? ''
  const body = { email: 'ada@example.com', password: 'correct horse battery' }
  const { data } = await makeClient({ base_url }).call('login', { body })
  return makeClient({ base_url, token: data.token })
}

for (const engine of ['sqlite', 'postgresql'] as const) {
  test(`a master on ${engine} serves from its first start, and after a restart everything is there`, async () => {
    const data_dir = newFolder()
    const database = await makeTestUrl(engine)
    const flags = { 'database-url': database.url }
    const first = await start(data_dir, flags)
    expect((await get(first, '/readyz')).status).toBe(200)
    const client = await setUp(first)
    expect((await client.call('me', {})).data.email).toBe('ada@example.com')
    const [workspace] = (await client.call('workspaces_list', { query: {} })).data
    const upstream = { name: 'api', servers: [{ address: '127.0.0.1:9000' }] }
    const body = { workspace_id: workspace?.id ?? '', ...upstream }
    const made = await client.call('upstreams_create', { body, query: {} })
    await first.stop()

    const second = await start(data_dir, flags)
    expect(second.setup_token).toBeNull()
    expect(second.ca_fingerprint).toBe(first.ca_fingerprint)
    expect(await second.services.audit.verify()).toMatchObject({ ok: true })
    const again = await logIn(second)
    const { data } = await again.call('upstreams_get', { params: { id: made.data.id } })
    expect(data).toMatchObject(upstream)
    await second.stop()
    await database.drop()
  })
}

test('TLS 1.2 is refused', async () => {
  const master = await start(newFolder())
  const outcome = await new Promise<string>(resolve => {
    const options = { host: '127.0.0.1', port: master.port, ca: master.ca_pem, servername: 'localhost' }
    const socket = connect({ ...options, maxVersion: 'TLSv1.2' }, () => resolve('connected'))
    socket.on('error', () => resolve('refused'))
  })
  expect(outcome).toBe('refused')
})

test('the private CA’s certificate is renewed in the running process before its end', async () => {
  const clock = { days_ago: 310 }
  const now = () => new Date(Date.now() - clock.days_ago * 86_400_000)
  const master = await start(newFolder(), {}, { now })
  const dial = () => {
    const socket = connect({ host: '127.0.0.1', port: master.port, ca: master.ca_pem })
    return new Promise<typeof socket>((resolve, reject) => {
      socket.once('secureConnect', () => resolve(socket))
      socket.once('error', reject)
    })
  }
  const serialOf = (socket: Awaited<ReturnType<typeof dial>>) => socket.getPeerCertificate().serialNumber
  const open = await dial()
  await master.reloadCertificate()
  expect(serialOf(await dial())).toBe(serialOf(open))
  const fingerprint = master.ca_fingerprint
  clock.days_ago = 0
  await master.reloadCertificate()
  const renewed = await dial()
  expect(serialOf(renewed)).not.toBe(serialOf(open))
  expect(Date.parse(renewed.getPeerCertificate().valid_to)).toBeGreaterThan(Date.now() + 360 * 86_400_000)
  expect(master.ca_fingerprint).toBe(fingerprint)
  const rows = await master.services.db.read.selectFrom('audit_log').select('action').execute()
  expect(rows.map(row => row.action)).toEqual(['server_certificate.reload'])
  open.destroy()
  renewed.destroy()
})

test('a second master on the same data folder is refused, and the first serves on', async () => {
  const data_dir = newFolder()
  const first = await start(data_dir)
  await expect(start(data_dir)).rejects.toThrow(`process ${process.pid}`)
  expect((await get(first, '/healthz')).status).toBe(200)
})

test('a start that fails gives everything back: the next one succeeds', async () => {
  const data_dir = newFolder()
  const blocker = createServer()
  await new Promise<void>(resolve => blocker.listen(0, '127.0.0.1', resolve))
  const { port } = blocker.address() as { port: number }
  await expect(start(data_dir, { listen: `127.0.0.1:${port}` })).rejects.toThrow(
    `port ${port}: another process has it`,
  )
  await expect(start(data_dir, { 'listen-plain': `127.0.0.1:${port}` })).rejects.toThrow()
  await new Promise(resolve => blocker.close(resolve))
  expect((await get(await start(data_dir), '/healthz')).status).toBe(200)
})

test('a second master on the same port is refused: it would get a share of the first one’s agents', async () => {
  const first = await start(newFolder())
  const second = start(newFolder(), { listen: `127.0.0.1:${first.port}` })
  await expect(second).rejects.toThrow(`port ${first.port}: another process has it`)
})

test('a wrong master key stops the start with a word about it', async () => {
  const data_dir = newFolder()
  await (await start(data_dir)).stop()
  writeFileSync(join(data_dir, 'master.key'), Buffer.alloc(32, 1).toString('base64'))
  await expect(start(data_dir)).rejects.toThrow('The master key is not the one')
})

test('nobody else can read the data folder, and no secret lies in it in the clear', async () => {
  const data_dir = newFolder()
  const master = await start(data_dir)
  await setUp(master)
  expect(statSync(data_dir).mode & 0o777).toBe(0o700)
  const token = master.setup_token ?? 'none'
  await master.stop()
  for (const name of readdirSync(data_dir)) {
    const path = join(data_dir, name)
    if (!statSync(path).isFile()) continue
    if (!['lock.pid'].includes(name))
      expect(`${name} ${statSync(path).mode & 0o777}`).toBe(`${name} ${0o600}`)
    const text = readFileSync(path, 'latin1')
    for (const secret of [token, 'correct horse battery', 'PRIVATE KEY']) expect(text).not.toContain(secret)
  }
})
