import { afterAll, beforeAll, expect, test } from 'bun:test'
import { chmodSync, readlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { type Backend, startBackend } from '../support/backend.ts'
import { ask } from '../support/request.ts'
import { type AgentUnderTest, type System, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'

let system: System
let agent: AgentUnderTest
let backend: Backend

beforeAll(async () => {
  ;[system, backend] = await Promise.all([startSystem(), startBackend('good')])
  agent = await system.addAgent()
  await makeSite('good', 'good.example.com')
}, 120_000)

afterAll(async () => {
  await Promise.all([system?.stop(), backend?.stop()])
}, 60_000)

const wait = { wait: 'applied', timeout_s: '60' } as const
const current = () => readlinkSync(join(agent.nginx.folder, 'conf.d/current'))
const body = (host: string) => ask({ port: agent.nginx.port, host }).then(answer => answer.body)

async function makeSite(name: string, host: string, port = agent.nginx.port) {
  return await system.client.call('virtual_hosts_create', {
    query: wait,
    body: {
      workspace_id: system.workspace_id,
      name,
      server_name: host,
      listen_port: port,
      locations: [{ path: '/', proxy_pass: `http://${backend.address}` }],
    },
  })
}

function listenOn(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => socket.destroy())
    server.on('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
const closed = (server: Server) => new Promise(resolve => server.close(resolve))

test('a name that does not resolve is a rejected deployment with file, line and nginx’s message; the site beside it goes live', async () => {
  const before = current()
  const bad = await system.client.call('virtual_hosts_create', {
    query: wait,
    body: {
      workspace_id: system.workspace_id,
      name: 'bad',
      server_name: 'bad.example.com',
      listen_port: agent.nginx.port,
      locations: [{ path: '/', proxy_pass: 'http://no-such-host.invalid' }],
    },
  })
  const deployment = await system.deployment(bad.meta.deployment_id)
  expect(deployment.state).toBe('rejected')
  const error = deployment.targets[0]?.error
  expect(error?.message).toContain('host not found in upstream "no-such-host.invalid"')
  expect(error?.file).toMatch(/^sites\/bad-/)
  expect(error?.line).toBeGreaterThan(0)
  expect(error?.resource).toEqual({ kind: 'virtual_host', id: bad.data.id })
  expect(current()).toBe(before)
  expect(await body('good.example.com')).toStartWith('good GET')

  const next = await makeSite('next', 'next.example.com')
  expect(next.meta.deployment).toMatchObject({
    state: 'applied',
    carried: [{ kind: 'virtual_host', id: bad.data.id, version_number: null, rejected_version_number: 1 }],
  })
  expect(await body('next.example.com')).toStartWith('good GET')

  const mended = await system.client.call('virtual_hosts_update', {
    params: { id: bad.data.id },
    query: wait,
    body: { locations: [{ path: '/', proxy_pass: `http://${backend.address}` }] },
  })
  expect(mended.meta.deployment).toMatchObject({ state: 'applied', carried: [] })
  expect(await body('bad.example.com')).toStartWith('good GET')
}, 120_000)

test('an upstream server that does not resolve is rejected by name, and its last deployed version serves on', async () => {
  const upstream = await system.client.call('upstreams_create', {
    body: { workspace_id: system.workspace_id, name: 'pool', servers: [{ address: backend.address }] },
  })
  await system.client.call('virtual_hosts_create', {
    query: wait,
    body: {
      workspace_id: system.workspace_id,
      name: 'pooled',
      server_name: 'pooled.example.com',
      listen_port: agent.nginx.port,
      locations: [{ path: '/', upstream_id: upstream.data.id }],
    },
  })
  const bad = await system.client.call('upstreams_update', {
    params: { id: upstream.data.id },
    query: wait,
    body: { servers: [{ address: 'gone.invalid:80' }] },
  })
  expect(bad.meta.deployment?.state).toBe('rejected')
  expect(bad.meta.deployment?.targets[0]?.error).toMatchObject({
    file: 'upstreams/pool.conf',
    resource: { kind: 'upstream', id: upstream.data.id },
  })
  expect(await body('pooled.example.com')).toStartWith('good GET')
  const other = await makeSite('other', 'other.example.com')
  expect(other.meta.deployment).toMatchObject({
    state: 'applied',
    carried: [{ kind: 'upstream', version_number: 1 }],
  })
  expect(await body('pooled.example.com')).toStartWith('good GET')
  await system.client.call('upstreams_update', {
    params: { id: upstream.data.id },
    query: wait,
    body: { servers: [{ address: backend.address, weight: 2 }] },
  })
}, 120_000)

test('a port that another process holds is refused in prepare, by its number', async () => {
  const other = await listenOn(0)
  try {
    const { port } = other.address() as AddressInfo
    const before = current()
    const taken = await makeSite('taken', 'taken.example.com', port)
    expect(taken.meta.deployment?.state).toBe('rejected')
    expect(taken.meta.deployment?.targets[0]?.error?.message).toContain(String(port))
    expect(current()).toBe(before)
    expect(await body('good.example.com')).toStartWith('good GET')
    await system.client.call('virtual_hosts_delete', { params: { id: taken.data.id }, query: wait })
  } finally {
    await closed(other)
  }
}, 120_000)

test('a port that is taken between the test and the reload: the agent swaps back by itself, and says failed', async () => {
  const probe = await listenOn(0)
  const { port } = probe.address() as AddressInfo
  await closed(probe)
  const before = current()
  await agent.restart({ NXMESH_FAULTS: '1', NXMESH_TEST_STOP_AT: 'committing' })
  await agent.online()
  const made = makeSite('race', 'race.example.com', port)
  await until('the agent to stop before the swap', () => isStopped(agent.running().pid))
  const thief = await listenOn(port)
  try {
    agent.running().signal('SIGCONT')
    const { data, meta } = await made
    expect(meta.deployment?.state).toBe('failed')
    const target = meta.deployment?.targets[0]
    expect(target).toMatchObject({ state: 'failed', swapped_back: true })
    expect(target?.error?.message).toContain('Address already in use')
    expect(current()).toBe(before)
    expect(await body('good.example.com')).toStartWith('good GET')
    await system.client.call('virtual_hosts_delete', { params: { id: data.id }, query: wait })
  } finally {
    await closed(thief)
    await agent.restart()
    await agent.online()
  }
  const after = await makeSite('after', 'after.example.com')
  expect(after.meta.deployment?.state).toBe('applied')
}, 180_000)

test('a directive that the agent’s nginx lacks is refused with its name, before nginx is asked', async () => {
  // An nginx that says it is 1.14: it does not know keepalive_timeout in an upstream, which came with 1.15.3.
  const binary = join(system.folder, 'old-nginx')
  writeFileSync(
    binary,
    '#!/bin/sh\nif [ "$1" = -V ]; then /usr/sbin/nginx -V 2>&1 | sed "s#nginx/[0-9.]*#nginx/1.14.2#" >&2; exit 0; fi\nexec /usr/sbin/nginx "$@"\n',
  )
  chmodSync(binary, 0o755)
  const old = await system.addAgent({ name: 'old', nginx_binary: binary })
  const { client, workspace_id } = system
  const upstream = await client.call('upstreams_create', {
    body: {
      workspace_id,
      name: 'kept',
      servers: [{ address: backend.address }],
      keepalive_connections: 8,
      keepalive_timeout: 30,
    },
  })
  const made = await client.call('virtual_hosts_create', {
    query: wait,
    body: {
      workspace_id,
      name: 'kept',
      server_name: 'kept.example.com',
      listen_port: old.nginx.port,
      target_agents: { agent_ids: [old.id] },
      locations: [{ path: '/', upstream_id: upstream.data.id }],
    },
  })
  expect(made.meta.deployment?.state).toBe('rejected')
  const error = made.meta.deployment?.targets.find(target => target.agent_id === old.id)?.error
  expect(error?.message).toContain('keepalive_timeout')
  expect(error?.resource).toEqual({ kind: 'upstream', id: upstream.data.id })
}, 120_000)

async function isStopped(pid: number): Promise<boolean> {
  return / T /.test(await Bun.file(`/proc/${pid}/stat`).text())
}
