import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Backend, startBackend } from '../support/backend.ts'
import { ask } from '../support/request.ts'
import { type AgentUnderTest, type System, startSystem } from '../support/system.ts'

let system: System
let agent: AgentUnderTest
let blue: Backend
let green: Backend

beforeAll(async () => {
  ;[system, blue, green] = await Promise.all([startSystem(), startBackend('blue'), startBackend('green')])
  agent = await system.addAgent()
}, 120_000)

afterAll(async () => {
  await Promise.all([system?.stop(), blue?.stop(), green?.stop()])
}, 60_000)

const wait = { wait: 'applied', timeout_s: '30' } as const
let upstream_id = ''
let virtual_host_id = ''
const get = (path = '/') => ask({ port: agent.nginx.port, host: 'shop.example.com', path })

test('a new virtual host is served through a real nginx when the answer arrives', async () => {
  const { workspace_id } = system
  const upstream = await system.client.call('upstreams_create', {
    body: { workspace_id, name: 'shop', servers: [{ address: blue.address }] },
  })
  upstream_id = upstream.data.id
  const made = await system.client.call('virtual_hosts_create', {
    query: wait,
    body: {
      workspace_id,
      name: 'shop',
      server_name: 'shop.example.com',
      listen_port: agent.nginx.port,
      locations: [
        { path: '/', upstream_id, custom_headers: [{ name: 'X-Shop', value: 'costs $5; {"a": 1}' }] },
      ],
    },
  })
  virtual_host_id = made.data.id
  expect(made.meta.deployment?.state).toBe('applied')
  const answer = await get('/cart?id=1')
  expect(answer.status).toBe(200)
  expect(answer.body).toBe('blue GET /cart?id=1 shop.example.com\n')
  expect(answer.headers['x-shop']).toBe('costs $5; {"a": 1}')
})

test('every step of the deployment has its time, and the agent’s proof', async () => {
  const edited = await system.client.call('upstreams_update', {
    params: { id: upstream_id },
    query: wait,
    body: { servers: [{ address: green.address }] },
  })
  expect((await get()).body).toStartWith('green')
  const deployment = await system.deployment(edited.meta.deployment_id)
  const [target] = deployment.targets
  expect(deployment).toMatchObject({ state: 'applied', trigger: 'change' })
  expect(target).toMatchObject({ agent_id: agent.id, state: 'serving', error: null, swapped_back: false })
  const { desired_at, delivered_at, prepared_at, committed_at, loaded_at, serving_at } = target?.steps ?? {}
  const times = [desired_at, delivered_at, prepared_at, committed_at, loaded_at, serving_at].map(String)
  expect(times.every(time => /^\d{4}-\d\d-\d\dT/.test(time))).toBe(true)
  expect(target?.tree_hash).toMatch(/^[0-9a-f]{64}$/)
})

test('an unchanged write is a result: no version, no deployment, no reload', async () => {
  const before = agent.nginx.master()
  const again = await system.client.call('upstreams_update', {
    params: { id: upstream_id },
    body: { servers: [{ address: green.address }] },
  })
  expect(again.meta).toMatchObject({ changed: false, deployment_id: null })
  const versions = await system.client.call('upstreams_versions_list', { params: { id: upstream_id } })
  expect(versions.meta.total).toBe(2)
  expect(agent.nginx.master()).toEqual(before)
})

test('a stale If-Match is refused and names the way out', async () => {
  const stale = system.client.call('virtual_hosts_update', {
    params: { id: virtual_host_id },
    if_match: 99,
    body: { gzip_enabled: true },
  })
  await expect(stale).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
})

test('an upstream in use cannot be deleted, and its users are listed', async () => {
  const refused = system.client.call('upstreams_delete', { params: { id: upstream_id } })
  await expect(refused).rejects.toMatchObject({
    code: 'IN_USE',
    details: [expect.objectContaining({ message: expect.stringContaining('shop') })],
  })
})

test('a deleted virtual host is gone from nginx; the port answers 404 no more', async () => {
  const gone = await system.client.call('virtual_hosts_delete', {
    params: { id: virtual_host_id },
    query: wait,
  })
  expect(gone.meta.deployment?.state).toBe('applied')
  await expect(get()).rejects.toThrow()
  await system.client.call('upstreams_delete', { params: { id: upstream_id }, query: wait })
})
