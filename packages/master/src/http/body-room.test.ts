import { afterAll, expect, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract'
import { MASTER_LIMITS } from '../limits.ts'
import { BodyRoom } from './body-room.ts'
import { closeTestApps, codeOf, openTestApp, refusal, requests } from './testing.ts'

afterAll(closeTestApps)

const SENDER_BODIES = MASTER_LIMITS.bodies_sender_bytes / LIMITS.body_bytes

/** Bodies of unknown length that began and go on only when told. */
function slowBodies() {
  const ends: (() => void)[] = []
  const body = () =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{'))
        ends.push(() => {
          controller.enqueue(new TextEncoder().encode('}'))
          controller.close()
        })
      },
    })
  const finish = () => {
    for (const end of ends.splice(0)) end()
  }
  return { body, finish }
}

test('someone with credentials who holds many bodies half-sent gets no more room, until they are read', async () => {
  const app = await openTestApp()
  const { token } = await app.owner()
  const { post } = requests(
    () => app,
    () => token,
  )
  const slow = slowBodies()
  const waiting = Array.from({ length: SENDER_BODIES }, () => post('/organizations', slow.body()))
  const one_more = async () => (await post('/organizations', '{}')).status
  const deadline = Date.now() + 10_000
  while ((await one_more()) !== 429 && Date.now() < deadline) await new Promise(setImmediate)
  const answer = await post('/organizations', '{}')
  expect(answer.headers.get('retry-after')).toBe('1')
  expect(await refusal(answer)).toMatchObject({ status: 429, code: 'RATE_LIMITED' })
  // Strangers have a room of their own, and it is not full.
  const login = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }
  expect((await app.fetch('/api/v1/auth/login', login)).status).toBe(422)
  slow.finish()
  for (const one of await Promise.all(waiting)) expect(one.status).toBe(422)
  expect(await one_more()).toBe(422)
})

test('all senders together have a bounded room; what is refused is not read, what failed gives its place back', async () => {
  const room = new BodyRoom({ max_bytes: 3, sender_max_bytes: 2 })
  const first = Promise.withResolvers<string>()
  const second = Promise.withResolvers<string>()
  const reading = [room.run('a', 2, () => first.promise), room.run('b', 1, () => second.promise)]
  let read = false
  const third = async () => {
    read = true
    return 'third'
  }
  expect(await codeOf(room.run('c', 1, third))).toBe('UNAVAILABLE')
  expect(await codeOf(room.run('a', 1, third))).toBe('RATE_LIMITED')
  expect(read).toBe(false)
  first.reject(new Error('the sender is gone'))
  second.resolve('second')
  await Promise.allSettled(reading)
  expect(await room.run('c', 2, third)).toBe('third')
})
