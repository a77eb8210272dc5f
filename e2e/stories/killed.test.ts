import { afterAll, beforeAll, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { FAULT_STEPS } from '@nxmesh/agent/faults'
import { childrenOf } from '@nxmesh/agent/host/processes'
import type { Deployment } from '@nxmesh/contract'
import { type Backend, startBackend } from '../support/backend.ts'
import { ask } from '../support/request.ts'
import { type AgentUnderTest, type System, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'

const HOST = 'site.example.com'
let system: System
let agent: AgentUnderTest
let backend: Backend
let site_id = ''
let edit = 0

beforeAll(async () => {
  ;[system, backend] = await Promise.all([startSystem(), startBackend('app')])
  agent = await system.addAgent()
  const made = await system.client.call('virtual_hosts_create', {
    query: { wait: 'applied' },
    body: {
      workspace_id: system.workspace_id,
      name: 'site',
      server_name: HOST,
      listen_port: agent.nginx.port,
      locations: locations(0),
    },
  })
  site_id = made.data.id
}, 120_000)

afterAll(async () => {
  await Promise.all([system?.stop(), backend?.stop()])
}, 60_000)

const locations = (number: number) => [
  {
    path: '/',
    proxy_pass: `http://${backend.address}`,
    custom_headers: [{ name: 'X-Edit', value: String(number) }],
  },
]
/** What nginx serves now: the number of the edit, and the same for the whole of the configuration. */
const served = async () => Number((await ask({ port: agent.nginx.port, host: HOST })).headers['x-edit'])
const change = async (number: number) =>
  (
    await system.client.call('virtual_hosts_update', {
      params: { id: site_id },
      body: { locations: locations(number) },
    })
  ).meta.deployment_id
const ended = (deployment: Deployment) => !['queued', 'preparing', 'committing'].includes(deployment.state)
const isStopped = async (pid: number) => / T /.test(await Bun.file(`/proc/${pid}/stat`).text())

/** Until the master has the proof that the agent serves what it should. */
const masterKnows = () =>
  until('the master to know what is served', async () => {
    const { data } = await system.client.call('agents_get', { params: { id: agent.id } })
    return data.config.serving_release_number === data.config.desired_release_number && data
  })

// Going back is tried beside the code of the agent: here every edit can be loaded.
const STEPS = FAULT_STEPS.filter(step => step !== 'swap_back')

test.each(STEPS)(
  'an agent killed at the step "%s" comes back with the old or the new configuration, whole, and the master knows which',
  async step => {
    const old = await served()
    edit++
    await agent.restart({ NXMESH_FAULTS: '1', NXMESH_TEST_STOP_AT: step })
    await agent.online()
    const id = await change(edit)
    await until(`the agent to stop at ${step}`, () => isStopped(agent.running().pid), { deadline_ms: 30_000 })
    expect([old, edit]).toContain(await served())
    await agent.restart()
    await agent.online()
    expect([old, edit]).toContain(await served())

    // An accepted edit is not lost: it goes live by this deployment or by the one that follows it.
    await until('the edit to be served', async () => (await served()) === edit, { deadline_ms: 60_000 })
    await until('the deployment to end', async () => ended(await system.deployment(id)), {
      deadline_ms: 60_000,
    })
    const known = await masterKnows()
    expect(known.config.hold).toBeNull()
  },
  180_000,
)

test('a master killed during a deployment ends it by itself after its restart', async () => {
  for (const step of ['validate', 'swapped'] as const) {
    edit++
    await agent.restart({ NXMESH_FAULTS: '1', NXMESH_TEST_STOP_AT: step })
    await agent.online()
    const id = await change(edit)
    await until(`the agent to stop at ${step}`, () => isStopped(agent.running().pid), { deadline_ms: 30_000 })
    await system.master.restart()
    // It stops there each time that it is asked to prepare anew, and is let go on at once.
    const goingOn = (condition: () => Promise<boolean>) => () => {
      agent.running().signal('SIGCONT')
      return condition()
    }
    const deadline_ms = 90_000
    await until(
      'the deployment to end',
      goingOn(async () => ended(await system.deployment(id))),
      { deadline_ms },
    )
    await until(
      'the edit to be served',
      goingOn(async () => (await served()) === edit),
      { deadline_ms },
    )
    await masterKnows()
  }
  await agent.restart()
  await agent.online()
}, 300_000)

test('nginx killed and started by itself, without the agent, serves the same configuration', async () => {
  await agent.running().stop()
  const master = agent.nginx.master()
  if (!master) throw new Error('nginx does not run')
  const family = [master.pid, ...childrenOf(master.pid).map(({ pid }) => pid)]
  for (const pid of family) process.kill(pid, 'SIGKILL')
  await until('nginx to be gone', () => agent.nginx.master() === null)
  const started = spawnSync('/usr/sbin/nginx', ['-p', agent.nginx.folder, '-c', agent.nginx.conf_path])
  expect(String(started.stderr)).not.toContain('[emerg]')
  expect(await until('nginx to serve', served)).toBe(edit)
  await agent.restart()
  await agent.online()
  expect(await served()).toBe(edit)
  edit++
  const id = await change(edit)
  await until('the next edit to be served', async () => (await served()) === edit)
  await masterKnows()
  expect((await system.deployment(id)).state).toBe('applied')
}, 120_000)

test('a local rollback puts the agent on hold, shown by the master, until someone lifts it', async () => {
  const before = await served()
  const done = await agent.command('rollback')
  expect(done).toMatchObject({ code: 0 })
  expect(await served()).not.toBe(before)
  await until('the master to show the hold', async () => {
    const { data } = await system.client.call('agents_get', { params: { id: agent.id } })
    return data.config.hold
  })
  edit++
  await change(edit)
  await system.client.call('agents_lift_hold', { params: { id: agent.id } })
  await until('the newest edit to be served', async () => (await served()) === edit, { deadline_ms: 30_000 })
  expect(readlinkSync(join(agent.nginx.folder, 'conf.d/current'))).toMatch(/\d{14}/)
}, 120_000)
