import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { ErrorBody } from './envelope.ts'
import { ApiError, ERRORS } from './errors.ts'

const page = readFileSync(new URL('../../../docs/reference/errors.md', import.meta.url), 'utf8')
const documented = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| (.+?) \| (.+?) \|$/gm)].map(([, ...cells]) =>
  cells.join(' | '),
)

describe('the page of errors', () => {
  test('lists every code with its status, meaning and advice, and no other', () => {
    const coded = Object.entries(ERRORS).map(([code, one]) =>
      [code, one.status, one.title, one.advice].join(' | '),
    )
    expect(coded.length).toBeGreaterThan(15)
    expect(documented).toEqual(coded)
  })
})

describe('an error', () => {
  test('keeps its cause out of what is answered', () => {
    const error = new ApiError('CONFLICT', 'It is taken', { cause: new Error('the secret reason') })
    const body = { error: { code: error.code, message: error.message, details: [...error.details] } }
    expect(JSON.stringify(ErrorBody.parse(body))).not.toContain('secret')
    expect([error.status, (error.cause as Error).message]).toEqual([409, 'the secret reason'])
  })
})
