import { expect, test } from 'bun:test'
import { makeLog } from './log.ts'

function logged(write: (log: ReturnType<typeof makeLog>) => void) {
  const lines: string[] = []
  write(makeLog('info', { write: line => lines.push(line) }))
  return lines.map(line => JSON.parse(line))
}

test('a log line has timestamp, level, component, message and fields', () => {
  const [line] = logged(log =>
    log.child({ component: 'http' }).warn({ request_id: 'r1', n: 2 }, 'Something odd'),
  )
  expect(line).toEqual({
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    level: 'WARN',
    component: 'http',
    message: 'Something odd',
    fields: { request_id: 'r1', n: 2 },
  })
})

test('an error is written with its stack and what caused it', () => {
  const err = new Error('outer', { cause: new Error('inner') })
  const [line] = logged(log => log.error({ request_id: 'r1', err }, 'Failed'))
  expect(line.fields.request_id).toBe('r1')
  expect(line.fields.err.message).toContain('outer')
  expect(line.fields.err.message).toContain('inner')
  expect(line.fields.err.stack).toContain('log.test.ts')
})

test('what is below the level is not written', () => {
  expect(logged(log => log.debug('quiet'))).toEqual([])
})
