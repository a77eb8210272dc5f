import { expect, test } from 'bun:test'
import { EVENTS_CLOSE_CODES, LIMITS } from '@nxmesh/contract'
import type { ServerWebSocket } from 'bun'
import pino from 'pino'
import type { Access, Caller } from '../access/caller.ts'
import type { Standing } from '../access/standing.ts'
import { callerWith } from '../access/testing.ts'
import { newId } from '../ids.ts'
import { until } from '../testing-until.ts'
import { EventSocket } from './event-socket.ts'
import { EVENTS_LIMITS } from './events-limits.ts'
import { type Happening, tailOf } from './events-rules.ts'
import { makeHub } from './hub.ts'
import { makeReaders } from './readers.ts'

/** The races between what is told and who may still hear it, step by step; real sockets are tried in e2e/access. */

const place = { workspace_id: newId(), organization_id: null }
const happening: Happening = { topic: 'agents', place, tail: tailOf({ type: 'event' }) }
const FOREVER = Number.POSITIVE_INFINITY

function standingOf(caller: Caller, ends_ms = FOREVER): Standing {
  return { caller, credential_id: newId(), ends_ms, token_ends_ms: ends_ms }
}

function start() {
  const clock = { ms: 1_000, now: Date.parse('2026-11-23T12:00:00Z') }
  const readers = makeReaders()
  const answers = { again: async (one: Standing): Promise<Standing | null> => one, allows: async () => true }
  const access = { allows: () => answers.allows(), require: async () => {} } as unknown as Access
  const hub = makeHub({
    readers,
    access,
    standings: { again: one => answers.again(one) },
    log: pino({ level: 'silent' }),
    now: () => new Date(clock.now),
    now_ms: () => clock.ms,
  })
  const join = (standing: Standing) => {
    const sent: string[] = []
    const state = { code: 0, buffered: 0, terminated: false }
    const socket = new EventSocket({ ip_address: null, request_id: 'test' }, standing, 0, clock.ms)
    socket.opened({
      send: (text: string) => sent.push(text),
      getBufferedAmount: () => state.buffered,
      close: (code: number) => {
        state.code = code
      },
      terminate: () => {
        state.terminated = true
      },
      ping: () => 1,
    } as unknown as ServerWebSocket<EventSocket>)
    readers.enter(socket)
    readers.subscribe(socket, 'all', { topic: 'agents', workspace_id: undefined, organization_id: undefined })
    return { socket, sent, state }
  }
  return { clock, answers, hub, readers, join }
}

test('what was on its way when somebody was shut out is not shown any more', async () => {
  const { hub, join, answers } = start()
  const standing = standingOf(callerWith())
  const { sent, state } = join(standing)
  const asked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  answers.allows = async () => {
    asked.resolve()
    await gate.promise
    return true
  }
  const delivered = hub.deliver([happening])
  await asked.promise
  answers.again = async () => null
  hub.forget([standing.credential_id])
  gate.resolve()
  await delivered
  expect([sent, state.code]).toEqual([[], EVENTS_CLOSE_CODES.revoked])
})

test('a forgetting concerns those whom it names', async () => {
  const { hub, join, answers } = start()
  const [one, other] = [standingOf(callerWith()), standingOf(callerWith())]
  const [first, second] = [join(one), join(other)]
  answers.again = async () => null
  hub.forget([one.caller.principal.id ?? ''])
  await hub.deliver([happening])
  expect([first.state.code, second.state.code]).toEqual([EVENTS_CLOSE_CODES.revoked, 0])
  expect(second.sent).toHaveLength(1)
  hub.forget('all')
  await until('the end of the other one', () => second.state.code !== 0)
})

test('as long as the database does not say who reads, nothing is shown, and the socket ends', async () => {
  const { hub, join, answers, clock } = start()
  const { sent, state } = join(standingOf(callerWith()))
  answers.again = () => new Promise(() => {})
  clock.ms += LIMITS.events_check_ms
  const delivered = hub.deliver([happening])
  expect(sent).toEqual([])
  await delivered
  expect([sent, state.code]).toEqual([[], EVENTS_CLOSE_CODES.try_later])
})

test('who may see less than before has to come back; who may see more stays', async () => {
  const { hub, join } = start()
  const less = callerWith(['agent:read'])
  const more = { ...callerWith(['agent:read', 'config:read']), principal: less.principal }
  const { socket, state } = join(standingOf(less))
  expect(hub.take(socket, standingOf(more))).toBe(true)
  expect(state.code).toBe(0)
  expect(hub.take(socket, standingOf(less))).toBe(false)
  expect(state.code).toBe(EVENTS_CLOSE_CODES.revoked)
})

test('an access token that has ended shows nothing more, even before anyone looks', async () => {
  const { hub, join, clock } = start()
  const { sent, state } = join(standingOf(callerWith(), clock.now + 1_000))
  await hub.deliver([happening])
  clock.now += 1_000
  await hub.deliver([happening])
  expect([sent.length, state.code]).toEqual([1, EVENTS_CLOSE_CODES.expired])
})

test('a reader that takes nothing is cut when its queue is full or stands still, and let go at last', async () => {
  const { hub, join, clock } = start()
  const [full, still] = [join(standingOf(callerWith())), join(standingOf(callerWith()))]
  full.state.buffered = still.state.buffered = EVENTS_LIMITS.socket_buffer_bytes
  await hub.deliver([happening])
  const many = Array.from({ length: LIMITS.events_queue_messages }, () => happening)
  still.state.buffered = 0
  still.socket.drained(clock.ms)
  still.state.buffered = EVENTS_LIMITS.socket_buffer_bytes
  await hub.deliver(many.slice(1))
  expect([full.state.code, still.state.code]).toEqual([0, 0])
  await hub.deliver([happening, happening])
  expect([full.state.code, still.state.code]).toEqual([
    EVENTS_CLOSE_CODES.too_slow,
    EVENTS_CLOSE_CODES.too_slow,
  ])
  clock.ms += EVENTS_LIMITS.close_grace_ms
  hub.sweep()
  expect([full.state.terminated, still.state.terminated]).toEqual([true, true])
})

test('a reader whose queue does not move is cut after a while', async () => {
  const { hub, join, clock } = start()
  const { state } = join(standingOf(callerWith()))
  state.buffered = EVENTS_LIMITS.socket_buffer_bytes
  await hub.deliver([happening])
  clock.ms += LIMITS.events_stuck_ms - 1
  hub.sweep()
  expect(state.code).toBe(0)
  clock.ms += 1
  hub.sweep()
  expect(state.code).toBe(EVENTS_CLOSE_CODES.too_slow)
})

test('a reader that gives no sign of life is given up', async () => {
  const { hub, join, clock } = start()
  const [alive, dead] = [join(standingOf(callerWith())), join(standingOf(callerWith()))]
  clock.ms += LIMITS.events_silence_ms
  alive.socket.heard_ms = clock.ms
  hub.sweep()
  expect([alive.state.code, dead.state.code]).toEqual([0, EVENTS_CLOSE_CODES.silence])
})
