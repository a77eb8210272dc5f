import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:tls'
import { type ErrorBody, LIMITS } from '@nxmesh/contract'
import {
  CLOSE_CODES,
  FrameSealer,
  REFUSAL_HEADERS,
  SIGNATURE_HEADERS,
} from '@nxmesh/contract/channel/signing'
import { until } from '../testing-until.ts'
import {
  dialRaw,
  HEARTBEAT,
  type RawAgent,
  signedHeaders,
  startTestChannel,
  type TestChannel,
  type TestIdentity,
  testHello,
  tryUpgrade,
} from './testing.ts'

let on: TestChannel
beforeAll(async () => {
  on = await startTestChannel()
})
afterAll(() => on.stop())

const auditOf = async (agent_id: string | null) =>
  (await on.auditRows())
    .filter(row => row.object_id === agent_id)
    .map(row => ({
      action: row.action,
      result: row.result,
      reason: JSON.parse(row.after_json ?? '{}').reason,
    }))

async function connected(who: TestIdentity, instance = 'one'): Promise<RawAgent> {
  const agent = await dialRaw(on, who)
  agent.say(testHello(instance))
  await until('the welcome', () => agent.received.length > 0)
  return agent
}

describe('a signed upgrade', () => {
  const refused = async (who: TestIdentity, headers: Record<string, string>, reason: string) => {
    const answer = await tryUpgrade(on, headers)
    expect(answer.status).toBe(401)
    expect(((await answer.json()) as ErrorBody).error.code).toBe('AGENT_SIGNATURE_INVALID')
    await until('the audit row', async () => (await auditOf(who.agent_id)).length > 0)
    expect(await auditOf(who.agent_id)).toEqual([
      { action: 'agent.connection_refused', result: 'refused', reason },
    ])
    expect(on.channel.isOnline(who.agent_id)).toBe(false)
    return answer
  }

  test('with a wrong signature is refused and audited', async () => {
    const who = on.addAgent()
    const answer = await refused(who, signedHeaders(who, { session_key: randomBytes(32) }), 'bad_signature')
    expect(answer.headers.get(REFUSAL_HEADERS.reason)).toBe('not_authenticated')
  })

  test("with another agent's key is refused: A cannot speak as B", async () => {
    const [a, b] = [on.addAgent(), on.addAgent()]
    const as_b = { ...a, agent_id: b.agent_id }
    await refused(b, signedHeaders(as_b), 'key_not_live')
  })

  test("with B's key id under A's secret is refused", async () => {
    const [a, b] = [on.addAgent(), on.addAgent()]
    await refused(b, signedHeaders({ ...b, session_key: a.session_key }), 'bad_signature')
  })

  test('of an agent that is not known is refused', async () => {
    const who = on.addAgent()
    on.removeAgent(who.agent_id)
    await refused(who, signedHeaders(who), 'unknown_agent')
  })

  test('with a stale timestamp is refused with the time of the master', async () => {
    const who = on.addAgent()
    const stale = signedHeaders(who, { timestamp_ms: Date.now() - LIMITS.clock_skew_ms - 5_000 })
    const answer = await refused(who, stale, 'stale_timestamp')
    expect(answer.headers.get(REFUSAL_HEADERS.reason)).toBe('stale_timestamp')
    expect(Math.abs(Number(answer.headers.get(REFUSAL_HEADERS.time)) - Date.now())).toBeLessThan(5_000)
  })

  test('whose timestamp was changed after signing is refused', async () => {
    const who = on.addAgent()
    const headers = signedHeaders(who, {
      headers: { [SIGNATURE_HEADERS.timestamp]: String(Date.now() - 1_000) },
    })
    await refused(who, headers, 'bad_signature')
  })

  test('in a protocol that is not served is refused', async () => {
    const who = on.addAgent()
    const headers = signedHeaders(who, { headers: { [SIGNATURE_HEADERS.protocol]: '99' } })
    await refused(who, headers, 'protocol_not_served')
  })

  test('with a nonce that was used is refused', async () => {
    const who = on.addAgent()
    const headers = signedHeaders(who)
    const first = new WebSocket(`${on.url.replace('https', 'wss')}/api/v1/agents/channel`, {
      headers,
      tls: { ca: on.ca_pem },
    } as never)
    await new Promise(resolve => {
      first.onopen = resolve
    })
    await refused(who, headers, 'replayed_nonce')
    first.close()
  })

  test('without its headers is refused, and a flood of that makes one audit row', async () => {
    const before = (await auditOf(null)).length
    for (let n = 0; n < 20; n++) expect((await tryUpgrade(on, {})).status).toBe(401)
    await until('the audit row', async () => (await auditOf(null)).length > before)
    expect((await auditOf(null)).length).toBe(before + 1)
  })
})

describe('frames', () => {
  const ends = async (who: TestIdentity, agent: RawAgent) => {
    expect(await agent.closed).toBe(CLOSE_CODES.violation)
    await until('the end', () => on.listener.of(who.agent_id).includes('disconnected'))
    expect(on.channel.isOnline(who.agent_id)).toBe(false)
    await until('the audit row', async () => (await auditOf(who.agent_id)).length > 0)
    expect((await auditOf(who.agent_id)).at(-1)?.action).toBe('agent.connection_violation')
  }

  test('in order reach the listeners in order, and a heartbeat is answered', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    agent.say(HEARTBEAT)
    await until('the acknowledgement', () => agent.received.some(json => json.includes('heartbeat_ack')))
    agent.close()
    await until('three events', () => on.listener.of(who.agent_id).length === 3)
    expect(on.listener.of(who.agent_id)).toEqual(['connected', 'heartbeat', 'disconnected'])
  })

  test('that are replayed end the connection', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    const frame = agent.sealer.seal(JSON.stringify(HEARTBEAT))
    agent.send(frame)
    agent.send(frame)
    await ends(who, agent)
  })

  test('that are reordered end the connection', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    agent.sealer.seal(JSON.stringify(HEARTBEAT))
    agent.send(agent.sealer.seal(JSON.stringify(HEARTBEAT)))
    await ends(who, agent)
  })

  test('that are forged end the connection', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    const frame = agent.sealer.seal(JSON.stringify(HEARTBEAT))
    frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1
    agent.send(frame)
    await ends(who, agent)
  })

  test('that are not sealed end the connection', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    agent.send(JSON.stringify(HEARTBEAT))
    await ends(who, agent)
  })

  test('of an unknown type end the connection', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    agent.send(agent.sealer.seal('{"type":"exec","command":"id"}'))
    await ends(who, agent)
  })

  test('under a key that is not the session key never bring an agent online', async () => {
    const who = on.addAgent()
    const agent = await dialRaw(on, who)
    agent.send(new FrameSealer(randomBytes(32)).seal(JSON.stringify(testHello('thief'))))
    expect(await agent.closed).toBe(CLOSE_CODES.violation)
    expect(on.listener.of(who.agent_id)).toEqual([])
  })

  test('over the size limit end the connection', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    agent.send(new Uint8Array(LIMITS.frame_in_bytes + 1))
    await agent.closed
    await until('the end', () => !on.channel.isOnline(who.agent_id))
  })
})

describe('two connections of one agent', () => {
  test('the newer one takes over, after its first valid frame', async () => {
    const who = on.addAgent()
    const older = await connected(who)
    const newer = await dialRaw(on, who)
    older.say(HEARTBEAT)
    await until('the older one still speaks', () => on.listener.of(who.agent_id).includes('heartbeat'))
    newer.say(testHello('one'))
    expect(await older.closed).toBe(CLOSE_CODES.displaced)
    await until('four events', () => on.listener.of(who.agent_id).length === 4)
    expect(on.listener.of(who.agent_id)).toEqual(['connected', 'heartbeat', 'disconnected', 'connected'])
    expect(on.channel.isOnline(who.agent_id)).toBe(true)
    newer.close()
  })

  test('of two machines with one identity, the one that comes back is refused and audited', async () => {
    const who = on.addAgent()
    const first = await connected(who, 'machine-a')
    const second = await connected(who, 'machine-b')
    expect(await first.closed).toBe(CLOSE_CODES.displaced)
    const back = await dialRaw(on, who)
    back.say(testHello('machine-a'))
    expect(await back.closed).toBe(CLOSE_CODES.identity_conflict)
    expect(on.channel.isOnline(who.agent_id)).toBe(true)
    await until('the audit row', async () => (await auditOf(who.agent_id)).length > 0)
    expect((await auditOf(who.agent_id)).at(-1)?.action).toBe('agent.identity_conflict')
    second.close()
  })
})

describe('what the master sends', () => {
  test('goes to an agent that is connected, and to no other', async () => {
    const who = on.addAgent()
    expect(on.channel.send(who.agent_id, { type: 'lift_hold' })).toBe(false)
    const agent = await connected(who)
    expect(on.channel.send(who.agent_id, { type: 'lift_hold' })).toBe(true)
    await until('the message', () => agent.received.length === 2)
    expect(agent.received[1]).toBe('{"type":"lift_hold"}')
    on.channel.cut(who.agent_id, 'deregistered')
    expect(await agent.closed).toBe(CLOSE_CODES.revoked)
    expect(on.channel.send(who.agent_id, { type: 'lift_hold' })).toBe(false)
  })

  test('of more than the socket holds at once arrives whole and in order', async () => {
    const who = on.addAgent()
    const agent = await connected(who)
    const json = 'x'.repeat(500_000)
    const objects = { type: 'objects' as const, deployment_id: who.agent_id, objects: [{ hash: '', json }] }
    const count = 60
    for (let n = 0; n < count; n++) {
      const message = { ...objects, objects: [{ hash: String(n), json }] }
      expect(on.channel.send(who.agent_id, message)).toBe(true)
    }
    await until('all of them', () => agent.received.length === count + 1, { deadline_ms: 20_000 })
    const hashes = agent.received.slice(1).map(one => JSON.parse(one).objects[0].hash)
    expect(hashes).toEqual(Array.from({ length: count }, (_, n) => String(n)))
    agent.close()
  })
})

test('TLS 1.2 is refused', async () => {
  const outcome = await new Promise<string>(resolve => {
    const socket = connect({ host: '127.0.0.1', port: on.port, ca: on.ca_pem, maxVersion: 'TLSv1.2' })
    socket.once('secureConnect', () => resolve(`accepted ${socket.getProtocol()}`))
    socket.once('error', () => resolve('refused'))
  })
  expect(outcome).toBe('refused')
})
