import { afterAll, beforeAll, expect, test } from 'bun:test'
import { RegistrationError } from '@nxmesh/agent/link/register'
import { until } from '../support/until.ts'
import { allConnected, converged, type Fleet, QUICK, startFleet } from './fleet.ts'
import { startMiddleman, type Tampering } from './middleman.ts'

/** The agent's end of the channel against the real master: what it refuses, what it mends by itself, how it comes back. */
let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet()
})
afterAll(() => fleet.stop())

const change = async (server_name: string) => {
  const made = await fleet.client.call('virtual_hosts_create', {
    body: {
      workspace_id: fleet.workspace_id,
      name: server_name,
      server_name,
      listen_port: 80,
      locations: [{ path: '/', root: '/srv' }],
    },
    query: { wait: 'applied', timeout_s: 20 },
  })
  return made.meta.deployment?.state
}

test('a wrong CA fingerprint ends the registration before the token is sent, and the token still works', async () => {
  const token = await fleet.newToken(1)
  const wrong = fleet.register(token, 'careful', { ca_fingerprint: '00'.repeat(32) })
  expect(await wrong.catch(error => error)).toBeInstanceOf(RegistrationError)
  expect((await fleet.register(token, 'careful')).name).toBe('careful')
})

test('an agent whose clock is an hour wrong corrects itself by the time of the master', async () => {
  const [agent] = await fleet.addAgents(1, { now_ms: () => Date.now() + 3_600_000 })
  if (!agent) throw new Error('no agent')
  await allConnected([agent])
  expect(Math.abs(agent.link().clock_offset_ms + 3_600_000)).toBeLessThan(5_000)
  const refusals = await fleet.audit('agent.connection_refused')
  expect(refusals.filter(row => row.object_id === agent.id).map(row => row.after)).toMatchObject([
    { reason: 'stale_timestamp' },
  ])
})

test('agents come back by themselves when the master was away, each after a different time', async () => {
  const agents = await fleet.addAgents(20)
  await allConnected(agents)
  await fleet.stopMaster()
  await until('everybody to notice', () => agents.every(agent => !agent.link().connected))
  await fleet.startMasterAgain()
  await allConnected(agents)
  expect(await change('after-restart.test')).toBe('applied')
})

test('an agent behind a dead connection notices the silence and comes back', async () => {
  const [agent] = await fleet.addAgents(1, { limits: { ...QUICK, silence_ms: 300 } })
  if (!agent) throw new Error('no agent')
  await allConnected([agent])
  const before = agent.wire.connections()
  // Nothing is closed and nothing arrives.
  agent.wire.delay(600_000)
  await until('the agent to give the connection up', () => !agent.link().connected)
  agent.wire.cut()
  agent.wire.delay(0)
  await until('the agent to be back', () => agent.link().connected && agent.wire.connections() > before)
})

test('a deregistered agent is cut and never comes back in', async () => {
  const [agent] = await fleet.addAgents(1)
  if (!agent) throw new Error('no agent')
  await allConnected([agent])
  await fleet.client.call('agents_delete', { params: { id: agent.id } })
  await until('the cut', () => !agent.link().connected)
  const refused = () => fleet.audit('agent.connection_refused')
  await until('its refusal', async () => (await refused()).some(row => row.object_id === agent.id))
  await agent.kill()
})

const swapped = (): Tampering => {
  let held: Uint8Array | string | null = null
  return (frame, number) => {
    if (number !== 1 && held === null) return [frame]
    if (held === null) {
      held = frame
      return []
    }
    const both = [frame, held]
    held = null
    return both
  }
}
const TAMPERINGS: readonly (readonly [string, () => Tampering])[] = [
  ['swapped', swapped],
  ['repeated', () => (frame, number) => (number === 1 ? [frame, frame] : [frame])],
  ['swallowed', () => (frame, number) => (number === 1 ? [] : [frame])],
  [
    'changed',
    () => (frame, number) => {
      if (number === 1 && typeof frame !== 'string') frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1
      return [frame]
    },
  ],
]

for (const [what, tampering] of TAMPERINGS) {
  test(`frames ${what} on their way to the master, even inside TLS, end the connection; then all converges`, async () => {
    const middleman = await startMiddleman(fleet.master)
    const [agent] = await fleet.addAgents(1)
    if (!agent) throw new Error('no agent')
    await agent.kill()
    middleman.toMaster = tampering()
    agent.start({
      identity: { ...agent.identity, master_url: middleman.url, ca_pem: middleman.ca_pem },
      limits: { ...QUICK, silence_ms: 500 },
    })
    const violations = async () =>
      (await fleet.audit('agent.connection_violation')).filter(row => row.object_id === agent.id)
    await until('a prepare to answer', async () => {
      await change(`${what}-${performance.now().toFixed(0)}.test`)
      return (await violations()).length > 0
    })
    middleman.toMaster = frame => [frame]
    await until('the agent to be back', () => agent.link().connected)
    await until('the newest configuration at the agent', () => converged(fleet, [agent]), {
      deadline_ms: 15_000,
    })
    await agent.kill()
    agent.start()
    await allConnected([agent])
    await middleman.stop()
  }, 60_000)
}

test('a frame that someone inside TLS sends twice to the agent ends the connection; nothing is carried out twice', async () => {
  const middleman = await startMiddleman(fleet.master)
  const [agent] = await fleet.addAgents(1)
  if (!agent) throw new Error('no agent')
  await agent.kill()
  const endings: string[] = []
  // After the greeting and the welcome.
  middleman.toAgent = (frame, number) => (number === 2 ? [frame, frame] : [frame])
  agent.start({
    identity: { ...agent.identity, master_url: middleman.url, ca_pem: middleman.ca_pem },
    log: (_level, _message, fields) => void endings.push(String(fields?.reason)),
  })
  await until('an order to be repeated', async () => {
    await change(`twice-${performance.now().toFixed(0)}.test`)
    return endings.some(reason => reason.includes('repeated'))
  })
  middleman.toAgent = frame => [frame]
  await until('the newest configuration at the agent', () => converged(fleet, [agent]))
  const orders = agent.orders.committed.map(order => order.generation)
  expect(new Set(orders).size).toBe(orders.length)
  await agent.kill()
  await middleman.stop()
}, 60_000)
