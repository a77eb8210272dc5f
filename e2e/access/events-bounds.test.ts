import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { EVENTS_CLOSE_CODES, LIMITS } from '@nxmesh/contract'
import { systemCaller } from '@nxmesh/master/access/nobody'
import { until } from '../support/until.ts'
import { type EventsWorld, startEventsWorld } from './events-world.ts'
import { bearer, openReader, openStalledReader, type Reader } from './reader.ts'

/** What the events socket bears, and what it does with whoever asks for more. */
let world: EventsWorld
let owner: string
let viewer_key: string
const open: Reader[] = []
beforeAll(async () => {
  world = await startEventsWorld()
  owner = (await world.key('owner', null)).key
  viewer_key = (await world.key('viewer', world.a)).key
}, 60_000)
afterAll(async () => {
  for (const reader of open) reader.close()
  await world.stop()
})

const reader = async (headers: Record<string, string>) => {
  const opened = await openReader(world.fleet.master, headers)
  open.push(opened)
  return opened
}
const viewer = () => reader(bearer(viewer_key))

describe('who breaks the rules', () => {
  const { violation, too_fast, too_many } = EVENTS_CLOSE_CODES
  test('of the messages is told and sent away', async () => {
    const wrong: (string | Uint8Array<ArrayBuffer>)[] = [
      '{"type":"nothing"}',
      '{"type":"unsubscribe","id":"x","more":1}',
      '{"type":"unsubscribe","type":"subscribe","id":"x"}',
      '{"type":"subscribe","id":"x","topic":"everything"}',
      'no JSON',
      new Uint8Array([1, 2, 3]),
      JSON.stringify({ type: 'login', token: 'x'.repeat(LIMITS.events_frame_bytes) }),
    ]
    for (const message of wrong) {
      const opened = await viewer()
      opened.say(message)
      expect(await opened.closed()).toBe(violation)
      expect(opened.received.at(-1)?.type).toBe('error')
    }
  })

  test('of the numbers is refused', async () => {
    const opened = await viewer()
    for (let n = 0; n < LIMITS.events_subscriptions; n++) await opened.subscribe('agents')
    expect(await opened.subscribe('agents')).toBe('LIMIT_REACHED')
    opened.say({ type: 'unsubscribe', id: 'nothing' })
    expect((await opened.next('refused')).error.code).toBe('LIMIT_REACHED')
    expect((await opened.next('refused')).error.code).toBe('NOT_FOUND')
    for (let n = 0; n < LIMITS.events_messages_burst; n++)
      if (opened.code() === null) opened.say({ type: 'unsubscribe', id: 'nothing' })
    expect(await opened.closed()).toBe(too_fast)
  })

  test('of how many sockets one may have finds the last one closed', async () => {
    const { key } = await world.key('viewer', world.a)
    const all = await Promise.all(
      Array.from({ length: LIMITS.events_sockets_per_principal }, () => reader(bearer(key))),
    )
    const one_more = await reader(bearer(key))
    expect(await one_more.closed()).toBe(too_many)
    expect(all.every(one => one.code() === null)).toBe(true)
    all[0]?.close()
    await all[0]?.closed()
    await until('a free place', async () => {
      const again = await reader(bearer(key))
      return again.received[0]?.type === 'welcome'
    })
  })
})

test('a reader that does not read is cut with a code of its own, and nobody else waits for it', async () => {
  const healthy = await reader(bearer(owner))
  await healthy.subscribe('audit')
  const { key } = await world.key('admin', world.a)
  const stalled = await openStalledReader(world.fleet.master, key, 'audit')
  const { audit } = world.fleet.master.services
  const padding = 'x'.repeat(50_000)
  let told = 0
  const record = async () => {
    const event = { action: 'test.record', object_type: 'test', workspace_id: world.a, after: { padding } }
    await audit.record(systemCaller('test'), event)
    told += 1
  }
  // 20 MB are more than TCP's buffers take and what may wait in the master.
  for (let n = 0; n < 8; n++) {
    for (let k = 0; k < 50; k++) await record()
    await until('the healthy reader to have all', () => healthy.events('audit').length >= told)
  }
  const { all_bytes, close_code } = await stalled.resume()
  expect(close_code).toBe(EVENTS_CLOSE_CODES.too_slow)
  expect(all_bytes).toBeLessThan(told * padding.length)
  expect(healthy.code()).toBeNull()
}, 60_000)

test('500 readers hear of a change', async () => {
  const keys = await Promise.all(Array.from({ length: 10 }, () => world.key('viewer', world.a)))
  const readers: Reader[] = []
  for (const { key } of keys)
    readers.push(...(await Promise.all(Array.from({ length: 50 }, () => reader(bearer(key))))))
  await Promise.all(readers.map(one => one.subscribe('agents')))
  const began_ms = performance.now()
  const body = { workspace_id: world.a, name: 'for 500' }
  const { id } = (await world.fleet.client.call('agents_create', { body })).data
  await until(
    'all 500',
    () => readers.every(one => one.events('agents').some(event => event.agent_id === id)),
    {
      every_ms: 1,
    },
  )
  console.log(
    `events: 500 readers in this process have it ${Math.round(performance.now() - began_ms)} ms after the request`,
  )
}, 60_000)

test('more changes than can be named are told as one, to read again', async () => {
  const opened = await reader(bearer((await world.key('admin', world.a)).key))
  await opened.subscribe('audit')
  const { audit, db } = world.fleet.master.services
  const event = { action: 'test.record', object_type: 'test', workspace_id: world.a }
  await db.write(async tx => {
    for (let n = 0; n <= LIMITS.events_batch; n++) await audit.append(tx, systemCaller('test'), event)
  })
  expect(await opened.next('resync')).toMatchObject({ topic: 'audit', workspace_id: world.a })
  expect(opened.events('audit').some(one => one.entry.action === 'test.record')).toBe(false)
})

test('a master that stops says so', async () => {
  const opened = await viewer()
  await world.fleet.stopMaster()
  expect(await opened.closed()).toBe(EVENTS_CLOSE_CODES.try_later)
  await world.fleet.startMasterAgain()
})
