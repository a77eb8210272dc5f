import { expect, test } from 'bun:test'
import { WriteQueue } from './write-queue.ts'

/** A piece of work that ends when told. */
function held() {
  let end = () => {}
  const ended = new Promise<void>(resolve => {
    end = resolve
  })
  return { work: () => ended, end }
}

test('changes follow each other in the order in which they came, also after one that failed', async () => {
  const queue = new WriteQueue()
  const order: number[] = []
  const all = [1, 2, 3].map(n =>
    queue.run(async () => {
      order.push(n)
      await Promise.resolve()
      order.push(-n)
      if (n === 2) throw new Error('no')
    }),
  )
  expect((await Promise.allSettled(all)).map(one => one.status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
  ])
  expect(order).toEqual([1, -1, 2, -2, 3, -3])
})

test('when too many wait, the next is refused at once, and those who wait are served', async () => {
  const queue = new WriteQueue({ writes_waiting: 1, write_wait_ms: 60_000 })
  const first = held()
  const running = queue.run(first.work)
  const waiting = queue.run(async () => 'served')
  await expect(queue.run(async () => {})).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  first.end()
  await running
  expect(await waiting).toBe('served')
})

test('who waits too long is refused, and never runs afterwards', async () => {
  const queue = new WriteQueue({ writes_waiting: 10, write_wait_ms: 1 })
  const first = held()
  const running = queue.run(first.work)
  let ran = false
  const late = queue.run(async () => {
    ran = true
  })
  await expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  first.end()
  await running
  await queue.run(async () => {})
  expect(ran).toBe(false)
})
