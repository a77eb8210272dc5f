import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { canonicalJson } from './canonical.ts'

describe('canonical JSON', () => {
  test('does not depend on the order of keys', () => {
    expect(canonicalJson({ b: [{ d: 1, c: null }], a: 'ä"' })).toBe('{"a":"ä\\"","b":[{"c":null,"d":1}]}')
  })

  test('sorts by code unit, not by any language', () => {
    expect(canonicalJson({ é: 1, z: 2, Z: 3, '10': 4, '9': 5, '\u{1f600}': 6, '\ufb33': 7 })).toBe(
      '{"10":4,"9":5,"Z":3,"z":2,"é":1,"\u{1f600}":6,"\ufb33":7}',
    )
  })

  test('leaves out what JSON leaves out', () => {
    expect(canonicalJson({ a: undefined, b: -0 })).toBe('{"b":0}')
  })

  test('is JSON with the same meaning, and the same for every order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        const text = canonicalJson(value)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonicalJson(reversed(value))).toBe(text)
      }),
      { numRuns: 1_000 },
    )
  })
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).reverse()
  return Object.fromEntries(entries.map(([key, one]) => [key, reversed(one)]))
}
