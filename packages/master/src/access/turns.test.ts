import { expect, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract'
import { codeOf } from '../http/testing.ts'
import type { Trust } from './login-throttle.ts'
import { makeTurns } from './turns.ts'

/** Works that end when the test says so, and the order in which they began. */
function openDesk() {
  const turns = makeTurns()
  const begun: string[] = []
  const running: (() => void)[] = []
  return {
    begun,
    ask: (sender: string, trust: Trust) =>
      turns.run({ sender, trust }, async () => {
        begun.push(`${trust} ${sender}`)
        await new Promise<void>(resolve => void running.push(resolve))
      }),
    /** Ends the oldest work, again and again, until there is none. */
    async endAll() {
      for (let end = running.shift(); end; end = running.shift()) {
        end()
        await new Promise(setImmediate)
      }
    },
  }
}

test('whoever is known begins beside strangers, who go in turn, and the suspicious last', async () => {
  const desk = openDesk()
  const all = [
    desk.ask('a', 'clean'),
    desk.ask('a', 'clean'),
    desk.ask('a', 'clean'),
    desk.ask('b', 'suspicious'),
    desk.ask('c', 'clean'),
    desk.ask('d', 'known'),
    desk.ask('e', 'known'),
  ]
  expect(desk.begun).toEqual(['clean a', 'known d'])
  await desk.endAll()
  await Promise.all(all)
  expect(desk.begun.slice(2)).toEqual(['known e', 'clean a', 'clean c', 'clean a', 'suspicious b'])
})

test('a flood of strangers is bounded, in all and for each sender', async () => {
  const flood = async (count: number, senderOf: (n: number) => string, code: string) => {
    const desk = openDesk()
    const codes = Array.from({ length: count }, (_, n) => codeOf(desk.ask(senderOf(n), 'clean')))
    await desk.endAll()
    return (await Promise.all(codes)).filter(one => one === code).length
  }
  const at_once = LIMITS.password_checks_of_strangers
  expect(await flood(500, n => `s${n}`, 'UNAVAILABLE')).toBe(500 - LIMITS.password_checks_waiting - at_once)
  expect(await flood(50, () => 's', 'RATE_LIMITED')).toBe(50 - LIMITS.password_checks_of_sender - at_once)
})

test('a work that fails gives its place to the next', async () => {
  const turns = makeTurns()
  const asked = { sender: 'a', trust: 'clean' } as const
  const fails = turns.run(asked, () => Promise.reject(new Error('no')))
  const next = turns.run(asked, async () => 'done')
  await expect(fails).rejects.toThrow('no')
  expect(await next).toBe('done')
})
