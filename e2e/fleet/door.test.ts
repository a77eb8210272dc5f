import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:tls'
import { type RegisteredIdentity, RegistrationError } from '@nxmesh/agent/link/register'
import { LIMITS } from '@nxmesh/contract'
import { dialRaw, HEARTBEAT, signedHeaders, testHello, tryUpgrade } from '@nxmesh/master/channel/testing'
import { until } from '../support/until.ts'
import { allConnected, type Fleet, startFleet } from './fleet.ts'

/** Everyone who must not get in, at the door of a whole master; each attempt leaves a row in the audit log. */
let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet()
})
afterAll(() => fleet.stop())

const joined = async (name: string) => keyed(await fleet.register(await fleet.newToken(1), name))
const keyed = (identity: RegisteredIdentity) => ({
  ...identity,
  session_key: Buffer.from(identity.session_key, 'base64url'),
})
const audited = (action: string, agent_id: string | null, reason: string) =>
  until(`the audit row ${action}: ${reason}`, async () =>
    (await fleet.audit(action)).some(
      row =>
        row.object_id === agent_id && row.result === 'refused' && JSON.stringify(row.after).includes(reason),
    ),
  )
const refusedToRegister = async (token: string) => {
  const error = await fleet.register(token, 'late').then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(RegistrationError)
  expect(String(error)).toContain('401')
}

describe('a bootstrap token', () => {
  test('works once', async () => {
    const token = await fleet.newToken(1)
    await fleet.register(token, 'first')
    await refusedToRegister(token)
    await audited('agent.register_refused', null, 'used_up_token')
  })

  test('that was never made is refused', async () => {
    await refusedToRegister(`nxb_${randomBytes(32).toString('base64url')}`)
    await audited('agent.register_refused', null, 'unknown_token')
  })

  test('does not go to a master whose CA has another fingerprint', async () => {
    const token = await fleet.newToken(1)
    const before = (await fleet.audit('agent.register')).length
    const wrong = fleet.register(token, 'misled', { ca_fingerprint: 'ff'.repeat(32) })
    expect(await wrong.catch(String)).toContain('Nothing was sent')
    expect((await fleet.audit('agent.register')).length).toBe(before)
  })
})

describe('an upgrade is refused and audited', () => {
  const cases = [
    ['bad_signature', (who: Joined) => signedHeaders(who, { session_key: randomBytes(32) })],
    [
      'stale_timestamp',
      (who: Joined) => signedHeaders(who, { timestamp_ms: Date.now() - 2 * LIMITS.clock_skew_ms }),
    ],
    ['key_not_live', (who: Joined) => signedHeaders({ ...who, key_id: other.key_id })],
  ] as const
  type Joined = Awaited<ReturnType<typeof joined>>
  let other: Joined
  beforeAll(async () => {
    other = await joined('other')
  })

  for (const [reason, headers] of cases) {
    test(`for ${reason}`, async () => {
      const who = await joined(reason)
      expect((await tryUpgrade(fleet.master, headers(who))).status).toBe(401)
      await audited('agent.connection_refused', who.agent_id, reason)
    })
  }

  test('when an agent names itself as another one', async () => {
    const thief = await joined('thief')
    const as_other = { ...thief, agent_id: other.agent_id }
    expect((await tryUpgrade(fleet.master, signedHeaders(as_other))).status).toBe(401)
    await audited('agent.connection_refused', other.agent_id, 'key_not_live')
  })

  test('when it is replayed', async () => {
    const who = await joined('replayed')
    const headers = signedHeaders(who)
    const first = new WebSocket(`${fleet.master.url.replace('https', 'wss')}/api/v1/agents/channel`, {
      headers,
      tls: { ca: fleet.master.ca_pem },
    } as never)
    await new Promise(resolve => {
      first.onopen = resolve
    })
    expect((await tryUpgrade(fleet.master, headers)).status).toBe(401)
    await audited('agent.connection_refused', who.agent_id, 'replayed_nonce')
    first.close()
  })
})

test('a replayed frame ends the connection and is audited', async () => {
  const who = await joined('frames')
  const agent = await dialRaw(fleet.master, who)
  agent.say(testHello('one'))
  const frame = agent.sealer.seal(JSON.stringify(HEARTBEAT))
  agent.send(frame)
  agent.send(frame)
  await agent.closed
  await audited('agent.connection_violation', who.agent_id, 'repeated')
})

test('one identity on two machines does not flap: the second one to come back stays out, and it is audited', async () => {
  const [agent] = await fleet.addAgents(1)
  if (!agent) throw new Error('no agent')
  await allConnected([agent])
  const thief = await dialRaw(fleet.master, keyed(agent.identity))
  thief.say(testHello('thief'))
  await audited('agent.identity_conflict', agent.id, 'another process')
  thief.close()
  await agent.kill()
})

test('an agent that registers again has a new key; the old one is refused', async () => {
  const body = { workspace_id: fleet.workspace_id, name: 'renewed' }
  const { id } = (await fleet.client.call('agents_create', { body })).data
  const token = async () =>
    (await fleet.client.call('agent_tokens_create', { params: { id }, body: {} })).data.token
  const old = keyed(await fleet.register(await token(), 'renewed'))
  const agent = await dialRaw(fleet.master, old)
  agent.say(testHello('one'))
  await until('the welcome', () => agent.received.length > 0)
  await fleet.register(await token(), 'renewed')
  await agent.closed
  expect((await tryUpgrade(fleet.master, signedHeaders(old))).status).toBe(401)
  await audited('agent.connection_refused', id, 'key_not_live')
})

test('TLS 1.2 is refused', async () => {
  const outcome = await new Promise<string>(resolve => {
    const { port, ca_pem } = fleet.master
    const socket = connect({ host: '127.0.0.1', port, ca: ca_pem, maxVersion: 'TLSv1.2' })
    socket.once('secureConnect', () => resolve(`accepted ${socket.getProtocol()}`))
    socket.once('error', () => resolve('refused'))
  })
  expect(outcome).toBe('refused')
})

test('500 agents that come at once are all let in', async () => {
  const agents = await fleet.addAgents(500)
  await allConnected(agents)
  await fleet.stopMaster()
  await until('everybody to notice', () => agents.every(agent => !agent.link().connected))
  await fleet.startMasterAgain()
  await allConnected(agents)
  const { data } = await fleet.client.call('agents_list', { query: { per_page: 200, page: 2 } })
  expect(data.filter(agent => agent.state !== 'online').map(agent => [agent.name, agent.state])).toEqual([])
}, 120_000)
