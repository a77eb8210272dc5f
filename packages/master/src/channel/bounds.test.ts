import { afterAll, beforeAll, expect, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract'
import { CLOSE_CODES } from '@nxmesh/contract/channel/signing'
import { until } from '../testing-until.ts'
import { makeAdmission } from './admission.ts'
import { CHANNEL_LIMITS } from './channel-limits.ts'
import { makeNonces } from './nonces.ts'
import {
  dialRaw,
  HEARTBEAT,
  signedHeaders,
  startTestChannel,
  type TestChannel,
  testHello,
} from './testing.ts'
import { dialAndStopReading, dialForBytes } from './testing-slow-reader.ts'

let on: TestChannel
const admission = { delay_ms: 0, take: () => admission.delay_ms }
const times = { heartbeat_ms: 100, silence_ms: 400, handshake_ms: 200, sweep_ms: 20 }
beforeAll(async () => {
  on = await startTestChannel({ times, admission })
})
afterAll(() => on.stop())

test('an agent that never says hello is cut', async () => {
  const agent = await dialRaw(on, on.addAgent())
  expect(await agent.closed).not.toBe(1000)
})

test('an agent that falls silent is offline after the time for that, and not before', async () => {
  const who = on.addAgent()
  const agent = await dialRaw(on, who)
  const began_ms = performance.now()
  agent.say(testHello('one'))
  await agent.closed
  expect(performance.now() - began_ms).toBeGreaterThanOrEqual(times.silence_ms)
  await until('the listener knows', () => on.listener.of(who.agent_id).includes('disconnected'))
})

test('an agent that does not read is cut, while the others are served', async () => {
  const [slow, quick] = [on.addAgent(), on.addAgent()]
  const socket = await dialAndStopReading(on, slow, testHello('slow'))
  const agent = await dialRaw(on, quick)
  agent.say(testHello('quick'))
  const beating = setInterval(() => agent.say(HEARTBEAT), times.heartbeat_ms)
  await until('both online', () => on.channel.isOnline(slow.agent_id) && on.channel.isOnline(quick.agent_id))
  const json = 'x'.repeat(500_000)
  const message = { type: 'objects' as const, deployment_id: slow.agent_id, objects: [{ hash: '', json }] }
  // What may wait, and what the socket and the kernel take before anything waits.
  const fits = Math.floor(LIMITS.channel_queue_bytes / json.length)
  const taken_at_once = Math.ceil(20_000_000 / json.length)
  let sent = 0
  while (on.channel.send(slow.agent_id, message) && sent < 3 * fits) sent += 1
  expect(sent).toBeGreaterThanOrEqual(fits)
  expect(sent).toBeLessThan(fits + taken_at_once)
  expect(on.channel.isOnline(slow.agent_id)).toBe(false)
  expect(on.channel.send(quick.agent_id, { type: 'lift_hold' })).toBe(true)
  await until('the other one got its message', () => agent.received.includes('{"type":"lift_hold"}'))
  clearInterval(beating)
  agent.close()
  socket.destroy()
})

test('a frame that announces 1 GB is cut before it comes, one that is compressed before it is unpacked', async () => {
  const gigabyte = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4])
  const compressed = Buffer.from([0xc2, 0x84, 0, 0, 0, 0, 0x62, 0x60, 0x18, 0x05])
  // With the usual time for the hello, which is longer than this waits.
  const patient = await startTestChannel()
  for (const frame of [gigabyte, compressed]) {
    const socket = await dialForBytes(patient, patient.addAgent())
    let closed = false
    socket.on('close', () => {
      closed = true
    })
    socket.on('error', () => undefined)
    socket.write(frame)
    await until('the master to cut it', () => closed)
  }
  await patient.stop()
})

test('an agent for which there is no place yet is told when to come back', async () => {
  admission.delay_ms = 1_234
  const who = on.addAgent()
  const headers = signedHeaders(who)
  const socket = new WebSocket(`${on.url.replace('https', 'wss')}/api/v1/agents/channel`, {
    headers,
    tls: { ca: on.ca_pem },
  } as never)
  const said = await new Promise<string>(resolve => {
    socket.onmessage = event => resolve(String(event.data))
  })
  admission.delay_ms = 0
  expect(JSON.parse(said)).toEqual({ type: 'retry_later', delay_ms: 1_234 })
})

test('an agent that sends more than is handled is cut, and what it had sent is not lost', async () => {
  const who = on.addAgent()
  const release = on.listener.hold()
  const agent = await dialRaw(on, who)
  agent.say(testHello('one'))
  for (let n = 0; n < CHANNEL_LIMITS.inbox_messages + 10; n++) agent.say(HEARTBEAT)
  expect(await agent.closed).toBe(CLOSE_CODES.violation)
  release()
  await until('the end', () => on.listener.of(who.agent_id).at(-1) === 'disconnected')
  expect(on.listener.of(who.agent_id).length).toBeLessThanOrEqual(CHANNEL_LIMITS.inbox_messages + 2)
})

test('agents that come at once are admitted at a bounded rate, each of the rest at a place of its own', () => {
  let now_ms = 0
  const gate = makeAdmission(() => now_ms, { per_s: 100, burst: 3 })
  expect([gate.take(), gate.take(), gate.take()]).toEqual([0, 0, 0])
  expect([gate.take(), gate.take(), gate.take()]).toEqual([10, 20, 30])
  now_ms = 10
  expect(gate.take()).toBe(0)
})

test('nonces are remembered for their time, and no agent can fill the memory for another', () => {
  let now_ms = 0
  const nonces = makeNonces(() => now_ms)
  for (let n = 0; n < CHANNEL_LIMITS.nonces_per_agent; n++) nonces.remember('a', String(n))
  expect(nonces.remember('a', 'one more')).toBe(false)
  expect(nonces.remember('b', '0')).toBe(true)
  expect(nonces.seen('a', '0')).toBe(true)
  now_ms = 200_000
  expect(nonces.seen('a', '0')).toBe(false)
  expect(nonces.remember('a', 'one more')).toBe(true)
})
