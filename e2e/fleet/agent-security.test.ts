import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { CHANNEL_PATH } from '@nxmesh/contract'
import { CLOSE_CODES, REFUSAL_HEADERS } from '@nxmesh/contract/channel/signing'
import { dialRaw, signedHeaders, testHello, tryUpgrade } from '@nxmesh/master/channel/testing'
import { until } from '../support/until.ts'
import { allConnected, type Fleet, type FleetAgent, startFleet } from './fleet.ts'

/** Who is kept out, and how fast. */
let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet()
})
afterAll(() => fleet.stop())

const joined = async (name: string) => {
  const identity = await fleet.register(await fleet.newToken(1), name)
  return { ...identity, session_key: Buffer.from(identity.session_key, 'base64url') }
}
const refusals = async (agent_id: string) =>
  (await fleet.audit('agent.connection_refused'))
    .filter(row => row.object_id === agent_id)
    .map(row => (row.after as { reason: string }).reason)
const audited = (agent_id: string, reason: string) =>
  until(`the audit row of ${reason}`, async () => (await refusals(agent_id)).includes(reason))
const allow = (agent_allowed_cidrs: string[] | null) =>
  fleet.client.call('workspaces_update', {
    params: { id: fleet.workspace_id },
    body: { agent_allowed_cidrs },
  })
const isOnline = (agent: FleetAgent) => fleet.master.services.channel.isOnline(agent.id)

describe('an agent whose keys are revoked', () => {
  test('is cut before the answer is there, stays out, and comes back only with a token', async () => {
    const who = await joined('revoked')
    const agent = await dialRaw(fleet.master, who)
    agent.say(testHello('one'))
    await until('the welcome', () => agent.received.length > 0)
    await fleet.client.call('agents_revoke_keys', { params: { id: who.agent_id } })
    expect(fleet.master.services.channel.isOnline(who.agent_id)).toBe(false)
    // One more round trip, and the agent knows as well.
    let code = 0
    void agent.closed.then(closed => {
      code = closed
    })
    await until('the cut to arrive', () => code !== 0, { deadline_ms: 1_000 })
    expect(code).toBe(CLOSE_CODES.revoked)
    const answer = await tryUpgrade(fleet.master, signedHeaders(who))
    expect(answer.status).toBe(401)
    expect(answer.headers.get(REFUSAL_HEADERS.reason)).toBe('not_authenticated')
    await audited(who.agent_id, 'key_not_live')
    const params = { id: who.agent_id }
    const { token } = (await fleet.client.call('agent_tokens_create', { params, body: {} })).data
    const again = await fleet.register(token, 'revoked')
    expect(again.agent_id).toBe(who.agent_id)
    const key = Buffer.from(again.session_key, 'base64url')
    const back = await dialRaw(fleet.master, { ...again, session_key: key })
    back.close()
  })

  test('loses a socket that has said nothing yet, too', async () => {
    const who = await joined('silent')
    const agent = await dialRaw(fleet.master, who)
    await fleet.client.call('agents_revoke_keys', { params: { id: who.agent_id } })
    expect(await agent.closed).toBe(CLOSE_CODES.revoked)
  })
})

describe('an allow-list of the workspace', () => {
  test('that changes cuts at once who is not admitted any more, and only these; they come back when they are', async () => {
    const [inside] = await fleet.addAgents(1, {}, '127.0.7.1')
    const [outside] = await fleet.addAgents(1, {}, '127.0.8.1')
    if (!inside || !outside) throw new Error('no agents')
    await allConnected([inside, outside])
    const connections = inside.wire.connections()
    await allow(['127.0.7.0/24', '2001:db8::/32'])
    expect([isOnline(inside), isOnline(outside)]).toEqual([true, false])
    await audited(outside.id, 'address_not_allowed')
    expect(inside.wire.connections()).toBe(connections)
    await allow(null)
    await allConnected([inside, outside])
  })

  test('that is empty admits nobody, absent everyone; the agent hears no more than that it is not authenticated', async () => {
    const who = await joined('kept out')
    await allow([])
    const answer = await tryUpgrade(fleet.master, signedHeaders(who))
    expect(answer.status).toBe(401)
    expect(await answer.text()).not.toContain('address')
    expect(answer.headers.get(REFUSAL_HEADERS.reason)).toBe('not_authenticated')
    await audited(who.agent_id, 'address_not_allowed')
    const error = await fleet.register(await fleet.newToken(1), 'also out').catch(String)
    expect(error).toContain('unknown, expired or used up')
    await allow(null)
    const agent = await dialRaw(fleet.master, who)
    agent.close()
  })

  test('is not passed by a header that names another address', async () => {
    const who = await joined('liar')
    await allow(['198.51.100.0/24'])
    for (let n = 1; n <= 5; n++) {
      const headers = { ...signedHeaders(who), 'x-forwarded-for': `198.51.100.${n}` }
      expect((await tryUpgrade(fleet.master, headers)).status).toBe(401)
    }
    await allow(null)
    expect(await refusals(who.agent_id)).toEqual(['address_not_allowed'])
  })

  test('with a network that is none, or with bits behind its prefix, is refused with the reason', async () => {
    for (const [bad, why] of [
      ['10.1.2.3/8', 'the network is 10.0.0.0/8'],
      ['everywhere', 'must be an IPv4 or IPv6 network'],
    ] as const) {
      const error = await allow([bad]).then(
        () => null,
        (thrown: { details?: { message: string }[] }) => thrown,
      )
      expect(JSON.stringify(error?.details)).toContain(why)
    }
    const { data } = await allow(['::ffff:10.0.0.0/104', '192.0.2.7'])
    expect(data.agent_allowed_cidrs).toEqual(['10.0.0.0/8', '192.0.2.7/32'])
    await allow(null)
  })
})

test('behind a trusted proxy the allow-list holds for the address that the proxy saw', async () => {
  const proxied = await startFleet({ flags: { 'trusted-proxies': '127.0.0.0/8' } })
  try {
    const identity = await proxied.register(await proxied.newToken(1), 'proxied')
    const who = { ...identity, session_key: Buffer.from(identity.session_key, 'base64url') }
    const body = { agent_allowed_cidrs: ['198.51.100.0/24'] }
    await proxied.client.call('workspaces_update', { params: { id: proxied.workspace_id }, body })
    const upgrade = async (forwarded: string) =>
      (await tryUpgrade(proxied.master, { ...signedHeaders(who), 'x-forwarded-for': forwarded })).status
    // What stands left of the proxy's own word is the client's.
    expect(await upgrade('198.51.100.7, 203.0.113.9')).toBe(401)
    expect(await upgrade('nonsense')).toBe(401)
    expect(await upgrade('203.0.113.9, 198.51.100.7, 127.0.0.1')).toBe(101)
  } finally {
    await proxied.stop()
  }
})

test('an agent of protocol version 1 is served, and hears nothing of keys', async () => {
  const who = await joined('old')
  const agent = await dialRaw(fleet.master, who)
  agent.say(testHello('old'))
  await until('the welcome', () => agent.received.length > 0)
  const asked = fleet.client.call('agents_rotate_key', { params: { id: who.agent_id } })
  expect(await asked.catch(String)).toContain('takes no new key')
  expect(agent.received.filter(one => one.includes('key_'))).toEqual([])
  agent.close()
})

test('a hundred agents behind one address that come at once with a token for a hundred all get in', async () => {
  const real = await startFleet({ overrides: { rates: {} } })
  try {
    const token = await real.newToken(100)
    const came = Array.from({ length: 100 }, (_, n) => real.register(token, `scaled-${n}`))
    expect(new Set((await Promise.all(came)).map(one => one.agent_id)).size).toBe(100)
    expect(await real.register(token, 'one too many').catch(String)).toContain('401')
  } finally {
    await real.stop()
  }
}, 60_000)

// Last: so many refusals of one address fill its share of the audit log.
test('an agent that is deregistered while its upgrade is on its way leaves no socket open', async () => {
  const began_ms = performance.now()
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, async (_, n) => {
      const who = await joined(`in-flight-${n}`)
      const socket = new WebSocket(fleet.master.url.replace('https', 'wss') + CHANNEL_PATH, {
        headers: signedHeaders(who),
        tls: { ca: fleet.master.ca_pem },
      } as never)
      const closed = new Promise<string>(resolve => {
        socket.onclose = () => resolve('closed')
      })
      await fleet.client.call('agents_delete', { params: { id: who.agent_id } })
      return await closed
    }),
  )
  expect(new Set(outcomes)).toEqual(new Set(['closed']))
  // Not by the time that a hello may take.
  expect(performance.now() - began_ms).toBeLessThan(8_000)
}, 30_000)
