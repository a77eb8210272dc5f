import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { LEXER_LIMITS, NginxSyntaxError, tokenize } from './lexer.ts'
import { parseConfig, walk } from './parser.ts'
import { FRAGMENTS } from './testing/hostile.ts'

const values = (text: string): string[][] =>
  parseConfig(text).directives.map(({ name, args }) => [name, ...args.map(({ value }) => value)])

function syntaxError(text: string): NginxSyntaxError {
  try {
    parseConfig(text)
  } catch (error) {
    if (error instanceof NginxSyntaxError) return error
    throw error
  }
  throw new Error(`was accepted: ${text}`)
}

test('words are read as nginx reads them', () => {
  expect(values('a b  c;')).toEqual([['a', 'b', 'c']])
  expect(values('a "b c;{}#" \'d"e\';')).toEqual([['a', 'b c;{}#', 'd"e']])
  expect(values('a b#c "d\\"e" f\\;g h\\nh;')).toEqual([['a', 'b#c', 'd"e', 'f\\;g', 'h\nh']])
  expect(values(`a ${'$'}{b}c $d{ }`)[0]).toEqual(['a', '$'.concat('{b}c'), '$d'])
  expect(values('a "\\\\";')).toEqual([['a', '\\']])
  expect(values('if ($a = "b") { }')[0]).toEqual(['if', '($a', '=', 'b', ')'])
  expect(values("'server' {}")).toEqual([['server']])
  expect(values('a b}c;')).toEqual([['a', 'b}c']])
  expect(values('# nothing\n')).toEqual([])
})

test('what nginx would not read is an error with its place', () => {
  expect(syntaxError('a "b"c;')).toMatchObject({ line: 1, column: 6, message: 'unexpected "c"' })
  expect(syntaxError('a;\n  }')).toMatchObject({ line: 2, column: 3 })
  expect(syntaxError('a;\n;')).toMatchObject({ line: 2, column: 1 })
  expect(syntaxError('a b }')).toMatchObject({ message: 'unexpected "}"' })
  expect(syntaxError('http {\n server {\n }\n')).toMatchObject({ line: 1, column: 6 })
  expect(syntaxError('a "b')).toMatchObject({ offset: 4 })
  expect(syntaxError('a b')).toMatchObject({ offset: 3 })
  expect(syntaxError('a {'.repeat(LEXER_LIMITS.depth_max + 1)).message).toContain('too deeply')
})

test('positions point back into the text', () => {
  const text = 'http {\n  server_name  "a b";\n}\n'
  walk(parseConfig(text).directives, ({ name, span, args }) => {
    expect(text.slice(span.start)).toStartWith(name)
    for (const { raw, span: at } of args) expect(text.slice(at.start, at.end)).toBe(raw)
    if (name === 'server_name') expect([span.line, span.column, args[0]?.span.column]).toEqual([2, 3, 16])
  })
})

test('any text either prints back byte for byte or is an error', () => {
  const pieces = fc.array(fc.constantFrom(...FRAGMENTS, 'server {', 'listen 80;', '}\n', '# c\n'), {
    maxLength: 30,
  })
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    pieces.map(parts => parts.join('')),
  )
  let parsed = 0
  const check = (text: string): void => {
    try {
      parseConfig(text)
      expect(
        tokenize(text)
          .map(({ raw }) => raw)
          .join(''),
      ).toBe(text)
      parsed++
    } catch (error) {
      expect(error).toBeInstanceOf(NginxSyntaxError)
    }
  }
  fc.assert(fc.property(texts, check), { numRuns: 5_000, seed: 7 })
  expect(parsed).toBeGreaterThan(50)
})

test("Debian's own nginx.conf is read whole", () => {
  const path = '/etc/nginx/nginx.conf'
  if (!existsSync(path)) return console.log(`${path} is not there: not tried`)
  const text = readFileSync(path, 'utf8')
  expect(
    tokenize(text)
      .map(({ raw }) => raw)
      .join(''),
  ).toBe(text)
  expect(parseConfig(text).directives.map(({ name }) => name)).toContain('http')
})
