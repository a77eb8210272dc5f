import { z } from 'zod'

type RawIssue = z.core.$ZodRawIssue

/**
 * What a person reads of a wrong value whose schema has no words of its own. Registered for the whole process when this file
 * is loaded; undefined leaves the issue to the library's words.
 */
export function wordsFor(issue: RawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be ${kindOf(issue.expected)}`
    case 'invalid_value':
      if (issue.input === undefined) return 'is missing'
      return `must be ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}`
    case 'invalid_format':
      return FORMATS[issue.format]
    case 'too_small':
      return `must ${verbOf(issue.origin)} at least ${issue.minimum}${unitOf(issue.origin, issue.minimum)}`
    case 'too_big':
      return `must ${verbOf(issue.origin)} at most ${issue.maximum}${unitOf(issue.origin, issue.maximum)}`
    default:
      return undefined
  }
}

/** Words of a format, for values of the right type only: what is missing is said to be missing. */
export const format = (words: string) => ({
  error: (issue: RawIssue) => (typeof issue.input === 'string' ? words : undefined),
})

const FORMATS: Readonly<Record<string, string>> = {
  datetime: 'must be a date and time such as 2030-01-31T12:00:00Z',
}

const KINDS: Readonly<Record<string, string>> = {
  array: 'a list',
  int: 'a whole number',
  null: 'null',
  object: 'an object',
  record: 'an object',
}
const kindOf = (expected: string) => KINDS[expected] ?? `a ${expected}`

const verbOf = (origin: string) => (origin in UNITS ? 'have' : 'be')
const UNITS: Readonly<Record<string, readonly [string, string]>> = {
  string: [' character', ' characters'],
  array: [' entry', ' entries'],
}
const unitOf = (origin: string, count: number | bigint) => UNITS[origin]?.[Number(count) === 1 ? 0 : 1] ?? ''

z.config({ customError: wordsFor })
