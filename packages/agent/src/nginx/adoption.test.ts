import { afterEach, describe, expect, test } from 'bun:test'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareNginx } from '../agent.ts'
import { makePrivateNginx, type PrivateNginx } from '../testing/private-nginx.ts'
import { readMarker } from './marker.ts'

const undo: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

/** Much like Debian's: relative includes, gzip on, a site and a default server of its own, no notices in the error log. */
const OPERATORS = `# my own notes
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events { worker_connections 64; }
http {
    gzip on;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server_names_hash_bucket_size 128;
    include sites/*;
}
`

async function operatorsNginx(site: (port: number) => string): Promise<PrivateNginx> {
  const nginx = await makePrivateNginx({ conf: OPERATORS })
  undo.push(() => nginx.close())
  mkdirSync(join(nginx.folder, 'sites'))
  writeFileSync(join(nginx.folder, 'sites/own'), site(nginx.port))
  return nginx
}

const ownSite = (port: number) => `server { listen 127.0.0.1:${port} default_server; return 200 "mine"; }\n`

function takeOver(nginx: PrivateNginx, more: object = {}) {
  const root = mkdtempSync(join(tmpdir(), 'nxmesh-adopt-'))
  undo.push(() => rmSync(root, { recursive: true, force: true }))
  const options = {
    state_dir: join(root, 'state'),
    nginx: { ...nginx.settings, ...more },
    log: () => undefined,
  }
  return { adopt: () => prepareNginx(options), state_dir: options.state_dir }
}

const conf = (nginx: PrivateNginx) => readFileSync(nginx.conf_path, 'utf8')
const backups = (nginx: PrivateNginx) =>
  readdirSync(nginx.folder).filter(name => name.includes('before-nxmesh'))

/** Whether the kernel gives this port to connections that ask for no port of their own. */
function isLentOut(port: number): boolean {
  const [low = 0, high = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
    .split(/\s+/)
    .map(Number)
  return port >= low && port <= high
}

describe('taking over a running nginx', () => {
  test('keeps its sites, comments and settings, backs the file up, and adds what NxMesh needs', async () => {
    const nginx = await operatorsNginx(ownSite)
    await nginx.start()
    const before = conf(nginx)
    const { adoption } = await takeOver(nginx).adopt()
    expect(await nginx.get('/', 'anything')).toEqual({ status: 200, body: 'mine' })
    expect(conf(nginx)).toContain('# my own notes')
    expect(conf(nginx)).toContain(`error_log ${nginx.folder}/error.log notice;`)
    expect(conf(nginx)).toContain('conf.d/current/*.conf;')
    expect(backups(nginx)).toHaveLength(1)
    expect(readFileSync(join(nginx.folder, backups(nginx)[0] ?? ''), 'utf8')).toBe(before)
    expect(adoption.hash_floors.server_names_hash_bucket_size).toBe(128)
    expect(readlinkSync(join(nginx.folder, 'conf.d/current'))).toMatch(/^\d{14}$/)
    expect((await readMarker(adoption.status_port))?.deployment_id).toBe('none')
    // A connection that some program makes may never hold it while nginx is down: nginx would not start again.
    expect(isLentOut(adoption.status_port)).toBe(false)
  })

  test('a second time changes nothing and keeps the status port', async () => {
    const nginx = await operatorsNginx(ownSite)
    await nginx.start()
    const { adopt } = takeOver(nginx)
    const first = await adopt()
    const text = conf(nginx)
    const second = await adopt()
    expect(second.adoption).toEqual(first.adoption)
    expect(conf(nginx)).toBe(text)
    expect(backups(nginx)).toHaveLength(1)
  })

  test('of nginx that does not run changes its file, so that it serves both when it is started', async () => {
    const nginx = await operatorsNginx(ownSite)
    const { adoption } = await takeOver(nginx).adopt()
    await nginx.start()
    expect((await nginx.get('/', 'anything')).body).toBe('mine')
    expect(await readMarker(adoption.status_port)).not.toBeNull()
  })

  test('starts it where that is wanted', async () => {
    const nginx = await operatorsNginx(ownSite)
    await takeOver(nginx, { start: true }).adopt()
    expect(nginx.master()).not.toBeNull()
  })
})

describe('taking over is refused, and nothing is changed,', () => {
  test('when nginx refuses its own configuration, in its words', async () => {
    const nginx = await operatorsNginx(() => 'server { nonsense; }\n')
    const before = conf(nginx)
    await expect(takeOver(nginx).adopt()).rejects.toThrow(/unknown directive "nonsense".*sites\/own:1/)
    expect(conf(nginx)).toBe(before)
    expect(backups(nginx)).toEqual([])
  })

  test('when a real folder is in the place of the current link', async () => {
    const nginx = await operatorsNginx(ownSite)
    mkdirSync(join(nginx.folder, 'conf.d/current'), { recursive: true })
    const before = conf(nginx)
    await expect(takeOver(nginx).adopt()).rejects.toThrow('is not NxMesh')
    expect(conf(nginx)).toBe(before)
  })

  test('when nginx cannot load the result: the file is put back and the sites are served', async () => {
    const nginx = await operatorsNginx(ownSite)
    await nginx.start()
    const before = conf(nginx)
    const other = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
    undo.push(() => other.stop(true))
    await expect(takeOver(nginx, { status_port: other.port }).adopt()).rejects.toThrow(
      'Address already in use',
    )
    expect(conf(nginx)).toBe(before)
    expect((await nginx.get('/', 'anything')).body).toBe('mine')
  }, 20_000)
})
