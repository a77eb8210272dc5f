import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { AgentKey } from '@nxmesh/contract'
import { until } from '../support/until.ts'
import { allConnected, converged, type Fleet, type FleetAgent, startFleet } from './fleet.ts'

/** `npm run campaign:keys` makes it a thousand. */
const AGENTS = Number(process.env.NXMESH_TEST_AGENTS ?? 200)
const MONTH_MS = 31 * 86_400_000

let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet({ flags: { 'agent-keys-grace-s': '5' } })
}, 30_000)
afterAll(() => fleet.stop(), 60_000)

let changes = 0
/** One change through the API, all the way to every agent; what became of it. */
async function change(): Promise<string | undefined> {
  changes += 1
  const made = await fleet.client.call('virtual_hosts_create', {
    query: { wait: 'applied', timeout_s: 60 },
    body: {
      workspace_id: fleet.workspace_id,
      name: `host ${changes}`,
      server_name: `host-${changes}.test`,
      listen_port: 80,
      locations: [{ path: '/', root: '/srv' }],
    },
  })
  return made.meta.deployment?.state
}

const keysOf = async (agent: FleetAgent): Promise<AgentKey[]> =>
  (await fleet.client.call('agent_keys_list', { params: { id: agent.id } })).data
const statuses = async (agent: FleetAgent) => (await keysOf(agent)).map(key => key.status)

/** As if a month had gone by since these agents registered. */
async function age(): Promise<void> {
  const created_at = new Date(Date.now() - MONTH_MS).toISOString()
  await fleet.master.services.db.write(tx => tx.updateTable('agent_keys').set({ created_at }).execute())
}

test(`the keys of ${AGENTS} connected agents are rotated while orders flow: nobody reconnects, nothing is lost`, async () => {
  const agents = await fleet.addAgents(AGENTS)
  await allConnected(agents)
  expect(await change()).toBe('applied')
  const before = new Map(agents.map(agent => [agent.id, agent.keys().key_id]))
  const connections = agents.map(agent => agent.wire.connections())
  const began_ms = performance.now()
  await age()

  const rotated = () => agents.filter(agent => agent.keys().key_id !== before.get(agent.id)).length
  const outcomes: (string | undefined)[] = []
  let during = 0
  while (rotated() < AGENTS && performance.now() - began_ms < 60_000) {
    const had = rotated()
    outcomes.push(await change())
    if (rotated() > had) during += 1
  }
  const took_ms = Math.round(performance.now() - began_ms)
  outcomes.push(await change())
  console.log(
    `${AGENTS} keys rotated in ${took_ms} ms, ${outcomes.length} deployments to all of them meanwhile`,
  )

  expect(rotated()).toBe(AGENTS)
  expect(during).toBeGreaterThan(0)
  expect(new Set(outcomes)).toEqual(new Set(['applied']))
  // A frame that got lost would have ended its connection, and every order was carried out, each once.
  expect(agents.map(agent => agent.wire.connections())).toEqual(connections)
  const orders = new Set(agents.map(agent => agent.orders.committed.length))
  expect(orders).toEqual(new Set([changes]))
  expect(await converged(fleet)).toBe(true)

  await until('the old keys to end', async () => (await anyWith(['secondary', 'candidate'])) === 0, {
    deadline_ms: 30_000,
  })
  expect(await anyWith(['primary'])).toBe(AGENTS)
  const [first] = agents
  if (!first) throw new Error('no agent')
  expect(await statuses(first)).toEqual(['primary', 'ended'])
  expect((await keysOf(first))[0]?.id).toBe(first.keys().key_id)
}, 240_000)

const anyWith = async (wanted: string[]): Promise<number> => {
  const query = fleet.master.services.db.read.selectFrom('agent_keys').select('agent_id').distinct()
  return (await query.where('status', 'in', wanted).execute()).length
}

test('after it they come back with their new keys, and keep no other', async () => {
  const { agents } = fleet
  for (const agent of agents) agent.wire.cut()
  await allConnected(agents)
  await until('the old keys to be forgotten', () => agents.every(agent => agent.keys().other_key === null))
  for (const agent of agents.slice(0, 10)) {
    await agent.kill()
    agent.start()
  }
  await allConnected(agents)
  expect(await change()).toBe('applied')
}, 120_000)

test('an agent is given a new key when someone asks, at once or when it is back', async () => {
  const [agent] = fleet.agents
  if (!agent) throw new Error('no agent')
  const rotate = async () => (await fleet.client.call('agents_rotate_key', { params: { id: agent.id } })).data
  const one = await rotate()
  expect(one).toMatchObject({ agent_id: agent.id, offered: true })
  await until('the new key', () => agent.keys().key_id === one.key_id)

  await agent.kill()
  const isOnline = async () =>
    (await fleet.client.call('agents_get', { params: { id: agent.id } })).data.state === 'online'
  await until('the master to notice', async () => !(await isOnline()))
  const two = await rotate()
  expect(two.offered).toBe(false)
  // The same one again: a second request is no second rotation.
  expect((await rotate()).key_id).toBe(two.key_id)
  agent.start()
  await until('the newer key', () => agent.keys().key_id === two.key_id)
  expect((await statuses(agent)).filter(one => one === 'primary')).toHaveLength(1)
  const audited = (await fleet.audit('agent.key_rotate')).filter(row => row.object_id === agent.id)
  const newest = audited.slice(0, 2).map(row => row.after)
  expect(newest).toMatchObject([{ key_id: two.key_id }, { key_id: one.key_id }])
  expect(JSON.stringify(audited)).not.toContain(agent.keys().session_key)
}, 60_000)
