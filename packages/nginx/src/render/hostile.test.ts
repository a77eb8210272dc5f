import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { shapeOf } from '../check/tree.ts'
import { RenderError } from '../errors.ts'
import type {
  HeaderObject,
  LocationObject,
  RenderFacts,
  UpstreamObject,
  UpstreamServerObject,
  VirtualHostObject,
} from '../objects.ts'
import { type Directive, parseConfig, walk } from '../parser.ts'
import { DOLLAR } from '../template/policy.ts'
import { FRAGMENTS, HOSTILE } from '../testing/hostile.ts'
import { checkText, httpConfig, removeFolder, testFolder } from '../testing/nginx.ts'
import { renderBundle, renderObject } from './bundle.ts'
import { splitLocationPath } from './fields.ts'

const VALUES_PER_FIELD = 1_700
const SEED = Number(process.env.NXMESH_TEST_SEED ?? 20_261_123)

const FACTS: RenderFacts = {
  nginx_version: '1.22.1',
  modules: [],
  listen_address: null,
  carried: { default_servers: [], http_directives: [] },
}

const LOCATION: LocationObject = {
  path: '/',
  target: { type: 'root', root: '/srv', index: null },
  custom_headers: [],
}

const HOST: VirtualHostObject = {
  kind: 'virtual_host',
  id: 'id-1',
  version_number: 1,
  name: 'name',
  server_names: ['a.example.com'],
  listen_port: 8080,
  template_id: 'default',
  gzip_enabled: true,
  locations: [LOCATION],
}

const UPSTREAM: UpstreamObject = {
  kind: 'upstream',
  id: 'id-2',
  version_number: 1,
  name: 'backend',
  algorithm: 'least_connections',
  servers: [
    { address: '127.0.0.1:80', weight: 1, backup: false, down: false, max_fails: 1, fail_timeout: 10 },
  ],
  keepalive_connections: 4,
  keepalive_timeout: 5,
}

const at = (change: Partial<LocationObject>): VirtualHostObject => ({
  ...HOST,
  locations: [{ ...LOCATION, ...change }],
})
const withHeader = (header: Partial<HeaderObject>): VirtualHostObject =>
  at({ custom_headers: [{ name: 'X-A', value: 'v', ...header }] })

interface Field {
  /** The object with the value in its place. */
  readonly put: (value: string) => VirtualHostObject | UpstreamObject
  /** A harmless value under which nginx reads the rest in the same way. */
  readonly harmless: (value: string) => string
  /** Which argument nginx must read the value back from: directive and index. */
  readonly read: readonly [string, number] | null
  /** What nginx must read, where that is not the whole value. */
  readonly given?: (value: string) => string
  readonly facts?: (value: string) => RenderFacts
}

const FIELDS: Readonly<Record<string, Field>> = {
  id: { put: id => ({ ...HOST, id }), harmless: () => 'x', read: null },
  name: { put: name => ({ ...HOST, name }), harmless: () => 'x', read: null },
  server_name: {
    put: name => ({ ...HOST, server_names: [name] }),
    harmless: () => 'x',
    read: ['server_name', 0],
  },
  path: {
    put: path => at({ path }),
    harmless: value => {
      const { modifier } = splitLocationPath(value)
      return modifier === '' ? '/x' : `${modifier} /x`
    },
    read: ['location', -1],
    given: value => splitLocationPath(value).pattern,
  },
  regex: {
    put: value => at({ path: `~ ${value}` }),
    harmless: () => 'x',
    read: ['location', 1],
    given: value => value.replace(/^ +/, ''),
  },
  proxy_pass: {
    put: url => at({ target: { type: 'proxy', url } }),
    harmless: value => (value.startsWith('https') ? 'https://x' : 'http://x'),
    read: ['proxy_pass', 0],
  },
  upstream_of_location: {
    put: name => at({ target: { type: 'upstream', name, keepalive: true } }),
    harmless: () => 'x',
    read: null,
  },
  root: {
    put: root => at({ target: { type: 'root', root, index: null } }),
    harmless: () => '/x',
    read: ['root', 0],
  },
  index: {
    put: index => at({ target: { type: 'root', root: '/srv', index } }),
    harmless: value => value.replace(/[^ ]+/g, 'x'),
    read: null,
  },
  header_name: { put: name => withHeader({ name }), harmless: () => 'x', read: ['add_header', 0] },
  header_value: { put: value => withHeader({ value }), harmless: () => 'x', read: ['add_header', 1] },
  upstream_name: { put: name => ({ ...UPSTREAM, name }), harmless: () => 'x', read: ['upstream', 0] },
  address: {
    put: address => ({ ...UPSTREAM, servers: UPSTREAM.servers.map(server => ({ ...server, address })) }),
    harmless: () => 'x:1',
    read: ['server', 0],
  },
  listen_address: {
    put: () => HOST,
    harmless: () => '127.0.0.1',
    read: null,
    facts: listen_address => ({ ...FACTS, listen_address }),
  },
}

const values: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 60 }),
  fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 14 }).map(parts => parts.join('')),
  fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 14 }).map(parts => `/${parts.join('')}`),
  fc
    .tuple(
      fc.constantFrom('http://a/', 'a.b', '127.0.0.1:80', 'X-', '= /', '^~ /', '~ '),
      fc.constantFrom(...HOSTILE),
    )
    .map(parts => parts.join('')),
)

/** What was accepted, by field, for the real nginx. */
const survivors = new Map<string, string[]>()

function textOf(field: Field, value: string): string | null {
  try {
    return renderObject(field.put(value), field.facts?.(value) ?? FACTS)?.text ?? ''
  } catch (error) {
    if (error instanceof RenderError) return null
    throw error
  }
}

function find(directives: readonly Directive[], wanted: string): Directive | undefined {
  let found: Directive | undefined
  walk(directives, directive => {
    if (directive.name === wanted) found ??= directive
  })
  return found
}

for (const [name, field] of Object.entries(FIELDS)) {
  test(`no value of ${name} becomes configuration: it is refused, or it is read back as it was given`, () => {
    let refused = 0
    const accepted: string[] = []
    const check = (value: string): void => {
      const text = textOf(field, value)
      if (text === null) {
        refused++
        return
      }
      accepted.push(value)
      const { directives } = parseConfig(text)
      const expected = parseConfig(textOf(field, field.harmless(value)) ?? '').directives
      expect(shapeOf(directives)).toBe(shapeOf(expected))
      if (field.read) {
        const [directive, index] = field.read
        const read = find(directives, directive)?.args.at(index)?.value
        expect((read ?? '').replaceAll(DOLLAR, '$')).toBe(field.given?.(value) ?? value)
      }
    }
    for (const value of HOSTILE) check(value)
    fc.assert(fc.property(values, check), { numRuns: VALUES_PER_FIELD, seed: SEED })
    expect(refused).toBeGreaterThan(10)
    survivors.set(name, [...new Set(accepted)])
  })
}

test('numbers that are no counts, weights, seconds or ports are refused', () => {
  const numbers = [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    1.5,
    2 ** 53,

    -0.1,
    '80;',
    '1',
    null,
    undefined,
    {},
    [1],
  ]
  const [server] = UPSTREAM.servers
  for (const number of numbers as number[]) {
    const objects = [
      { ...HOST, listen_port: number },
      { ...HOST, version_number: number },
      { kind: 'listener' as const, port: number },
      { kind: 'http' as const, longest_server_name: number, server_name_count: 1 },
      { ...UPSTREAM, servers: [{ ...server, weight: number } as UpstreamServerObject] },
      { ...UPSTREAM, servers: [{ ...server, max_fails: number } as UpstreamServerObject] },
      { ...UPSTREAM, servers: [{ ...server, fail_timeout: number } as UpstreamServerObject] },
    ]
    for (const object of objects) expect(() => renderObject(object, FACTS)).toThrow(RenderError)
  }
})

const folder = testFolder()
afterAll(() => removeFolder(folder))

test('what was accepted is also accepted by the real nginx', async () => {
  const of = (name: string): string[] => survivors.get(name) ?? []
  const prefixes = of('path').filter(path => !splitLocationPath(path).modifier.startsWith('~'))
  const hosts = [
    ...of('header_value').map(value => withHeader({ value })),
    ...of('header_name').map(header => withHeader({ name: header })),
    ...of('root').map(root => at({ target: { type: 'root' as const, root, index: null } })),
    ...of('index').map(index => at({ target: { type: 'root' as const, root: '/srv', index } })),
    ...prefixes.map(path => at({ path })),
    ...of('server_name').map(server_name => ({ ...HOST, server_names: [server_name] })),
    ...of('name').map(host => ({ ...HOST, name: host })),
  ]
  expect(hosts.length).toBeGreaterThan(1_000)
  const objects = hosts.map((host, index) => ({ ...host, id: `id-${index}` }))
  const http = { kind: 'http' as const, longest_server_name: 253, server_name_count: objects.length }
  const text = renderBundle([http, ...objects], FACTS).map(file => file.text)
  const answer = await checkText(folder, httpConfig(folder, text.join('\n')))
  expect(answer.output.split('\n').filter(line => line.includes('[emerg]'))).toEqual([])
  expect(answer.ok).toBe(true)
})
