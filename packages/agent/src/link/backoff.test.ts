import { expect, test } from 'bun:test'
import { backoffMs, retryLaterMs } from './backoff.ts'

test('waits grow to a limit, and each is anything between nothing and that', () => {
  const ceilings = [0, 1, 2, 3, 10, 1_000].map(attempt => backoffMs(attempt, 250, 30_000, 1))
  expect(ceilings).toEqual([250, 500, 1_000, 2_000, 30_000, 30_000])
  expect(backoffMs(10, 250, 30_000, 0)).toBe(0)
  expect(backoffMs(10, 250, 30_000, 0.5)).toBe(15_000)
})

test('a delay that the master asks for is kept, within reason', () => {
  expect(retryLaterMs(2_000, 60_000, 0)).toBe(2_000)
  expect(retryLaterMs(2_000, 60_000, 0.999)).toBeLessThanOrEqual(2_200)
  expect(retryLaterMs(10 ** 9, 60_000, 0)).toBe(60_000)
  expect(retryLaterMs(-5, 60_000, 0)).toBe(0)
})
