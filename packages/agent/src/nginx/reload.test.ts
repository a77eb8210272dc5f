import { describe, expect, test } from 'bun:test'
import { makeOutcomeReader } from './reload.ts'

const line = (text: string, pid = 10) => `2026/01/02 03:04:05 ${text.replace(']', `] ${pid}#${pid}:`)}`
const read = (lines: readonly string[], silent = false) => {
  const reader = makeOutcomeReader(10, silent)
  for (const one of lines) {
    const outcome = reader(one)
    if (outcome !== null) return outcome
  }
  return null
}
const RECEIVED = line('[notice] signal 1 (SIGHUP) received from 7, reconfiguring')

describe('the error log tells how a reload ended:', () => {
  test('a worker that starts after the signal means loaded', () => {
    expect(
      read([RECEIVED, line('[notice] reconfiguring'), line('[notice] start worker process 99')]),
    ).toEqual({ loaded: true })
  })

  test('what stood there before the signal means nothing', () => {
    expect(read([line('[notice] start worker process 98'), line('[emerg] old trouble')])).toBeNull()
  })

  test('lines of another nginx mean nothing', () => {
    expect(
      read([RECEIVED, line('[notice] start worker process 99', 11), line('[emerg] not ours', 110)]),
    ).toBeNull()
  })

  test('an emergency means refused, with its place', () => {
    const outcome = read([RECEIVED, line('[emerg] unknown directive "x" in /c/a.conf:3')])
    expect(outcome).toMatchObject({
      loaded: false,
      error: { message: 'unknown directive "x"', file: '/c/a.conf', line: 3 },
    })
  })

  test('a bind that fails is waited for until nginx gives up, and told with its reason', () => {
    const bind = line('[emerg] bind() to 127.0.0.1:80 failed (98: Address already in use)')
    expect(read([RECEIVED, bind, bind])).toBeNull()
    expect(read([RECEIVED, bind, line('[notice] start worker process 99')])).toEqual({ loaded: true })
    const outcome = read([RECEIVED, bind, bind, line('[emerg] still could not bind()')])
    expect(outcome).toMatchObject({
      loaded: false,
      error: { message: expect.stringContaining('Address already in use') },
    })
  })

  test('where the signal itself is not logged, the first word counts', () => {
    expect(read([line('[notice] start worker process 99')], true)).toEqual({ loaded: true })
  })
})
