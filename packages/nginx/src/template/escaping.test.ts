/** Every kind of place a value can stand in, against values that try to leave it. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { shapeOf } from '../check/tree.ts'
import { TemplateError } from '../errors.ts'
import { parseConfig, walk } from '../parser.ts'
import { FRAGMENTS, HOSTILE } from '../testing/hostile.ts'
import { DOLLAR } from './policy.ts'
import { template } from './template.ts'

interface Hole {
  readonly text: string
  /** What the last argument of the statement must be; null for none. */
  readonly expected: ((value: string) => string) | null
}

const HOLES: readonly Hole[] = [
  { text: 'add_header X {{v}};', expected: value => value },
  { text: 'add_header X "a{{v}}b";', expected: value => `a${value}b` },
  { text: "add_header X 'a{{v}}b';", expected: value => `a${value}b` },
  { text: 'add_header X a{{v}}b;', expected: value => `a${value}b` },
  { text: 'add_header X {{v}}-{{v}};', expected: value => `${value}-${value}` },
  { text: 'add_header X {{v}}{{v}} ;', expected: value => value + value },
  { text: 'return 200 a"b\\"{{v}};', expected: value => `a"b"${value}` },
  { text: 'return 200 $host{{v}};', expected: value => `$host${value}` },
  { text: 'return 200 "$host{{v}}$uri";', expected: value => `$host${value}$uri` },
  { text: 'root /x/{{v}}/y;', expected: value => `/x/${value}/y` },
  { text: 'location {{v}} { }', expected: value => value },
  { text: 'location /p{{v}}{ }', expected: value => `/p${value}` },
  { text: 'map $a $b { x {{v}}; }', expected: value => value },
  { text: 'server { if ($host = {{v}}) { return 403; } }', expected: null },
  { text: '# {{v}}\nreturn 200;', expected: null },
  { text: 'listen {{v}};', expected: value => value },
]

const values = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 12 }).map(parts => parts.join('')),
  fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 12 }).map(parts => `/${parts.join('')}`),
)

for (const { text, expected } of HOLES) {
  test(`a value in ${JSON.stringify(text)} stays one piece of text`, () => {
    const compiled = template(text)
    let accepted = 0
    const check = (value: string): void => {
      let rendered: string
      try {
        rendered = compiled.render({ v: value })
      } catch (error) {
        expect(error).toBeInstanceOf(TemplateError)
        return
      }
      accepted++
      const { directives } = parseConfig(rendered)
      expect(shapeOf(directives)).toBe(shapeOf(parseConfig(compiled.render({ v: '/x' })).directives))
      if (!expected) return
      let last = ''
      walk(directives, ({ args }) => {
        last = args.at(-1)?.value ?? last
      })
      expect(last.replaceAll(DOLLAR, '$')).toBe(expected(value))
    }
    for (const value of HOSTILE) check(value)
    fc.assert(fc.property(values, check), { numRuns: 1_000, seed: 11 })
    expect(accepted).toBeGreaterThan(20)
  })
}
