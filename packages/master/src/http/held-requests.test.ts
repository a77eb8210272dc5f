import { expect, test } from 'bun:test'
import { HeldRequests } from './held-requests.ts'
import { codeOf } from './testing.ts'

test('one waits too many: it is refused before its work begins, until another has its answer', async () => {
  const held = new HeldRequests(2)
  let lifted = 0
  const connection = { ip_address: null, tls: true, hold: () => void lifted++ }
  const first = Promise.withResolvers<string>()
  const second = Promise.withResolvers<string>()
  const waiting = [held.run(connection, () => first.promise), held.run(connection, () => second.promise)]
  let began = false
  const third = async () => {
    began = true
    return 'third'
  }
  expect(await codeOf(held.run(connection, third))).toBe('UNAVAILABLE')
  expect([began, lifted]).toEqual([false, 2])
  first.resolve('first')
  second.reject(new Error('the work failed'))
  expect((await Promise.allSettled(waiting)).map(one => one.status)).toEqual(['fulfilled', 'rejected'])
  expect(await Promise.all([held.run(connection, third), held.run(connection, third)])).toEqual([
    'third',
    'third',
  ])
})
