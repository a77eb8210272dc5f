import { describe, expect, test } from 'bun:test'
import { ApiError, LIMITS } from '@nxmesh/contract'
import fc from 'fast-check'
import { page } from './page.ts'
import { parseStrictJson } from './strict-json.ts'
import { addressKey, makeTokenBuckets } from './token-buckets.ts'

describe('strict JSON', () => {
  const outcome = (parse: (text: string) => unknown, text: string) => {
    try {
      return { value: parse(text) }
    } catch {
      return 'refused'
    }
  }

  test('reads what JSON.parse reads, when no key is there twice', () => {
    const shallow = fc
      .jsonValue({ maxDepth: 8 })
      .filter(value => !JSON.stringify(value).includes('__proto__'))
    fc.assert(
      fc.property(shallow, fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        expect(parseStrictJson(text)).toEqual(JSON.parse(text))
      }),
      { numRuns: 2_000 },
    )
  })

  test('never reads what JSON.parse refuses, and never throws anything but its own error', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      '"a"',
      '"b"',
      '1',
      'null',
      ' ',
      '\\"',
      'é',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), parts => {
        const text = parts.join('')
        const strict = outcome(parseStrictJson, text)
        if (strict !== 'refused') expect<unknown>(strict).toEqual(outcome(JSON.parse, text))
        else expect(() => parseStrictJson(text)).toThrow(ApiError)
      }),
      { numRuns: 20_000 },
    )
  })

  test('the same key in different objects is no duplicate', () => {
    const text = '{"a":{"a":[{"a":1},{"a":2}]},"b":{"a":"a\\"a"}}'
    expect(parseStrictJson(text)).toEqual(JSON.parse(text))
  })

  test('a duplicate is found behind nested objects, arrays and escapes', () => {
    for (const text of ['{"a":{"b":[1,{"c":2}]},"a":1}', '[{"x":1},{"y":1,"y":2}]', '{"\\"":1,"\\u0022":2}'])
      expect(() => parseStrictJson(text)).toThrow(/there twice/)
  })

  test('the depth is counted exactly', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(Array.isArray(parseStrictJson(nested(LIMITS.json_depth)))).toBe(true)
    expect(() => parseStrictJson(nested(LIMITS.json_depth + 1))).toThrow(/deeper/)
  })
})

describe('links of a list', () => {
  const found = (total: number) => ({ items: [], total })

  test('a page in the middle leads both ways and keeps the filters', () => {
    const url = '/api/v1/agents?workspace_id=w&page=2&per_page=10'
    expect(page({ page: 2, per_page: 10 }, found(35), url)).toEqual({
      data: [],
      meta: { page: 2, per_page: 10, total: 35 },
      links: {
        self: url,
        next: '/api/v1/agents?workspace_id=w&page=3&per_page=10',
        prev: '/api/v1/agents?workspace_id=w&page=1&per_page=10',
      },
    })
  })

  test('the only page leads nowhere, an empty list as well', () => {
    for (const total of [0, 20])
      expect(page({ page: 1, per_page: 20 }, found(total), '/api/v1/agents').links).toEqual({
        self: '/api/v1/agents?page=1',
        next: null,
        prev: null,
      })
  })

  test('what is asked for stands in the links whole, a question mark too', () => {
    const { links } = page({ page: 1, per_page: 10 }, found(35), '/x?action=a?b&page=1')
    expect(links).toMatchObject({ self: '/x?action=a%3Fb&page=1', next: '/x?action=a%3Fb&page=2' })
  })

  test('beyond the end the way back leads to the last page', () => {
    const { links } = page({ page: 9, per_page: 10 }, found(35), '/x')
    expect([links.next, links.prev]).toEqual([null, '/x?page=4'])
  })
})

describe('token buckets', () => {
  const start = () => {
    let now_ms = 1_000_000
    const advance = (ms: number) => {
      now_ms += ms
    }
    return { now: () => new Date(now_ms), advance }
  }

  test('a burst passes, then as much as flows in', () => {
    const clock = start()
    const buckets = makeTokenBuckets({ burst: 2, per_s: 0.5 }, 10, clock.now)
    expect([buckets.take('a'), buckets.take('a'), buckets.take('a'), buckets.take('b')]).toEqual([0, 0, 2, 0])
    clock.advance(2_000)
    expect([buckets.take('a'), buckets.take('a')]).toEqual([0, 2])
    clock.advance(3_600_000)
    expect([buckets.take('a'), buckets.take('a'), buckets.take('a')]).toEqual([0, 0, 2])
  })

  test('a clock that is set back neither gives nor takes', () => {
    const clock = start()
    const buckets = makeTokenBuckets({ burst: 2, per_s: 1 }, 10, clock.now)
    buckets.take('a')
    clock.advance(-86_400_000)
    expect([buckets.take('a'), buckets.take('a')]).toEqual([0, 1])
    clock.advance(1_000)
    expect(buckets.take('a')).toBe(0)
  })

  test('memory is bounded: the key used longest ago is forgotten', () => {
    const buckets = makeTokenBuckets({ burst: 1, per_s: 0.001 }, 2, start().now)
    buckets.take('a')
    buckets.take('b')
    buckets.take('a')
    buckets.take('c')
    expect(buckets.take('a')).toBeGreaterThan(0)
    expect(buckets.take('b')).toBe(0)
  })

  test('an IPv6 customer counts once, however many addresses there are', () => {
    expect(addressKey('2001:db8:1:2:3:4:5:6')).toBe(addressKey('2001:db8:1:2::1'))
    expect(addressKey('2001:db8:1:2::1')).not.toBe(addressKey('2001:db8:1:3::1'))
    expect(addressKey('2001:DB8:0001::1')).toBe(addressKey('2001:db8:1:0:ffff::'))
    expect(addressKey('::1')).toBe('0:0:0:0')
    expect(addressKey('::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(addressKey('192.0.2.1')).toBe('192.0.2.1')
    expect(addressKey('::ffff:c000:0201')).toBe('192.0.2.1')
    expect(addressKey('fe80::1%eth0')).toBe(addressKey('fe80::2%eth1'))
    expect(addressKey(null)).toBe('unknown')
  })
})
