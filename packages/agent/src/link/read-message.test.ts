import { describe, expect, test } from 'bun:test'
import { Greeting, MasterMessage } from '@nxmesh/contract/channel/messages'
import { readGreeting, readMasterMessage } from './read-message.ts'

const id = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'
const hash = 'ab'.repeat(32)
const order = { deployment_id: id, epoch: 1, generation: 7 }
const MESSAGES: MasterMessage[] = [
  { type: 'welcome', agent_id: id, heartbeat_ms: 10_000 },
  {
    type: 'prepare',
    ...order,
    release_id: id,
    release_number: 3,
    bundle_hash: hash,
    manifest: { base: hash, put: [[`virtual_host/${id}`, hash]], remove: ['listener/80'] },
    object_count: 1,
    deadline_ms: 10_000,
  },
  { type: 'objects', deployment_id: id, objects: [{ hash, json: '{}' }] },
  { type: 'commit', ...order, bundle_hash: hash },
  { type: 'abort', ...order, reason: 'another agent refused it' },
  { type: 'lift_hold' },
  { type: 'heartbeat_ack' },
  { type: 'key_offer', key_id: id, session_key: 'A'.repeat(43) },
  { type: 'key_promoted', key_id: id },
]
const GREETINGS: Greeting[] = [
  { type: 'hello', protocol: 1, nonce: 'n', server_time: '2026-11-01T00:00:00.000Z' },
  { type: 'retry_later', delay_ms: 500 },
]
const STRANGE = [null, -1, 1.5, '', 'x', 'x'.repeat(5_000), [], {}, true, [[]], ['../x'], 9e15, '__proto__']

type Fields = Record<string, unknown>

/** The message with one field, at any depth, taken away or made strange. */
function* mutated(value: Fields): Generator<Fields> {
  for (const key of Object.keys(value)) {
    const { [key]: one, ...rest } = value
    yield rest
    for (const strange of STRANGE) yield { ...value, [key]: strange }
    if (one !== null && typeof one === 'object' && !Array.isArray(one))
      for (const inner of mutated(one as Fields)) yield { ...value, [key]: inner }
    if (Array.isArray(one)) for (const strange of STRANGE) yield { ...value, [key]: [...one, strange] }
  }
}

describe("the agent's own checks agree with the contract", () => {
  for (const message of MESSAGES) {
    test(`on ${message.type}, good and broken`, () => {
      expect(readMasterMessage(JSON.stringify(message))).toEqual(message)
      let broken = 0
      for (const one of mutated(message)) {
        const json = JSON.stringify(one)
        const valid = MasterMessage.safeParse(JSON.parse(json)).success
        expect([json, readMasterMessage(json) !== null]).toEqual([json, valid])
        if (!valid) broken += 1
      }
      expect(broken).toBeGreaterThan(0)
    })
  }

  test('on greetings', () => {
    for (const greeting of GREETINGS) expect(readGreeting(JSON.stringify(greeting))).toEqual(greeting)
    for (const bad of ['', '{', '[]', 'null', '{"type":"hello"}', '{"type":"constructor"}', '"hello"'])
      expect([bad, readGreeting(bad)]).toEqual([bad, null])
    expect(Greeting.safeParse({ type: 'hello' }).success).toBe(false)
  })

  test('on what is no message at all', () => {
    for (const bad of ['', '{', '[]', 'null', '7', '{"type":"toString"}', '{"type":"exec"}'])
      expect([bad, readMasterMessage(bad)]).toEqual([bad, null])
  })
})
