/** What a client of the real nginx sees of rendered values. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { RenderError } from '../errors.ts'
import type { HeaderObject, LocationObject, RenderFacts, VirtualHostObject } from '../objects.ts'
import { HOSTILE } from '../testing/hostile.ts'
import { freePort, httpConfig, put, removeFolder, startNginx, testFolder } from '../testing/nginx.ts'
import { renderBundle, renderObject } from './bundle.ts'
import { renderEntry, renderStatus } from './entry.ts'
import { ENTRY_PATH, STATUS_PATH } from './layout.ts'

const folder = testFolder()
const facts: RenderFacts = {
  nginx_version: '1.22.1',
  modules: [],
  listen_address: '127.0.0.1',
  carried: { default_servers: [], http_directives: [] },
}

const location = (path: string, headers: readonly HeaderObject[]): LocationObject => ({
  path,
  target: { type: 'root', root: join(folder, 'www'), index: null },
  custom_headers: headers,
})

const site = (listen_port: number, locations: readonly LocationObject[]): VirtualHostObject => ({
  kind: 'virtual_host',
  id: 'site-1',
  version_number: 1,
  name: 'site',
  server_names: ['a.example.com'],
  listen_port,
  template_id: 'default',
  gzip_enabled: false,
  locations,
})

function isAccepted(value: string): boolean {
  try {
    renderObject(site(1, [location('/', [{ name: 'X-Value', value }])]), facts)
    return true
  } catch (error) {
    if (error instanceof RenderError) return false
    throw error
  }
}

// A client trims blanks, and reads bytes beyond ASCII in its own way.
const VALUES = HOSTILE.filter(
  value => isAccepted(value) && /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value),
)
const ODD_PATH = '/a b"c\'{};#$d\\'

let port = 0
let status_port = 0
let nginx: { stop: () => Promise<void> } | undefined

beforeAll(async () => {
  port = await freePort()
  status_port = await freePort()
  const locations = [
    location('/', []),
    location(ODD_PATH, [{ name: 'X-Which', value: 'odd' }]),
    location('~ ^/[a-z]{3}";$', [{ name: 'X-Which', value: 'regex' }]),
    ...VALUES.map((value, index) => location(`= /value-${index}`, [{ name: 'X-Value', value }])),
  ]
  const objects = [
    { kind: 'http' as const, longest_server_name: 13, server_name_count: 1 },
    { kind: 'listener' as const, port },
    site(port, locations),
  ]
  for (const file of renderBundle(objects, facts)) await put(folder, file.path, file.text)
  await put(folder, 'www/index.html', 'hello')
  await put(folder, ENTRY_PATH, renderEntry(folder))
  const status = { port: status_port, deployment_id: 'deployment-1', generation: 3, apply_id: 'apply-1' }
  await put(folder, STATUS_PATH, renderStatus(status))
  nginx = await startNginx(folder, httpConfig(folder, `include ${folder}/${ENTRY_PATH};`), port)
})

afterAll(async () => {
  await nginx?.stop()
  removeFolder(folder)
})

const get = (path: string, host = 'a.example.com'): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: { host }, redirect: 'manual' })

test('hostile header values reach the client exactly as they were entered', async () => {
  expect(VALUES.length).toBeGreaterThan(30)
  for (const [index, value] of VALUES.entries()) {
    expect((await get(`/value-${index}`)).headers.get('x-value')).toBe(value)
  }
})

test('odd paths and regular expressions with braces match what they say', async () => {
  expect((await get(encodeURI(ODD_PATH).replaceAll('#', '%23'))).headers.get('x-which')).toBe('odd')
  expect((await get('/abc%22;')).headers.get('x-which')).toBe('regex')
  expect((await get('/abcd%22;')).headers.get('x-which')).toBeNull()
})

test('a host that nobody configured gets 404 from the default server', async () => {
  expect((await get('/index.html')).status).toBe(200)
  expect((await get('/index.html', 'unknown.example.com')).status).toBe(404)
})

test('the marker names deployment, generation, apply and the worker', async () => {
  const marker = await fetch(`http://127.0.0.1:${status_port}/nxmesh/marker`)
  expect(marker.headers.get('connection')).toBe('close')
  expect(await marker.text()).toMatch(/^deployment-1 3 apply-1 [1-9]\d*\n$/)
  const status = await fetch(`http://127.0.0.1:${status_port}/nxmesh/stub_status`)
  expect(await status.text()).toStartWith('Active connections:')
})
