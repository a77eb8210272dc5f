import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Directive, parseConfig } from '@nxmesh/nginx/parser'
import { ask } from '../support/request.ts'
import { type AgentUnderTest, type System, startSystem } from '../support/system.ts'

/**
 * What is known to work against tools of this kind, sent through REST to a real master, agent and nginx. Each value is
 * refused with 4xx and nothing stored, or it is served, and the directives of its file are those of a harmless value.
 */

let system: System
let agent: AgentUnderTest
/** Of a harmless value of each type: a prefix, and a regular expression, which has one argument more. */
const harmless = { prefix: '', regex: '' }

beforeAll(async () => {
  system = await startSystem()
  agent = await system.addAgent()
  await post(virtualHost({}))
  harmless.prefix = shape('probe')
  await removeProbe()
  await post(at({ path: '~ ^/a' }))
  harmless.regex = shape('probe')
  await removeProbe()
}, 120_000)

afterEach(async () => await removeProbe(), 30_000)

afterAll(async () => {
  await system?.stop()
}, 60_000)

type Fields = Record<string, unknown>

const location = (fields: Fields): Fields => ({
  path: '/a',
  proxy_pass: 'http://127.0.0.1:9',
  custom_headers: [{ name: 'X-Probe', value: 'a' }],
  ...fields,
})
const virtualHost = (fields: Fields, one: Fields = {}): Fields => ({
  workspace_id: system.workspace_id,
  name: 'probe',
  server_name: 'probe.example.com',
  listen_port: agent.nginx.port,
  locations: [location(one)],
  ...fields,
})
const at = (one: Fields) => virtualHost({}, one)
const header = (value: unknown, name: unknown = 'X-Probe') => at({ custom_headers: [{ name, value }] })

async function postText(
  text: string,
  path = '/virtual-hosts?wait=applied',
): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${system.master.plain_url}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await apiKey()}`, 'content-type': 'application/json' },
    body: text,
  })
  return { status: answer.status, body: await answer.text() }
}
const post = (body: unknown) => postText(JSON.stringify(body))

let key = ''
async function apiKey(): Promise<string> {
  const body = { name: 'hostile', role: 'owner', organization_id: system.organization_id } as const
  if (key === '') key = (await system.client.call('api_keys_create', { body })).data.key
  return key
}

const sites = () => readdirSync(join(agent.nginx.folder, 'conf.d/current/sites'))

/** The directives of a site's file, their nesting and the number of their arguments, and nothing of their values. */
function shape(name: string): string {
  const file = sites().find(one => one.startsWith(`${name}-`))
  if (!file) throw new Error(`no file of ${name} among ${sites()}`)
  const text = readFileSync(join(agent.nginx.folder, 'conf.d/current/sites', file), 'utf8')
  const outline = (directives: readonly Directive[]): unknown[] =>
    directives.map(one => [one.name, one.args.length, one.block ? outline(one.block.directives) : null])
  return JSON.stringify(outline(parseConfig(text).directives))
}

async function removeProbe(): Promise<void> {
  const { data } = await system.client.call('virtual_hosts_list')
  for (const { id } of data) {
    await system.client.call('virtual_hosts_delete', { params: { id }, query: { wait: 'applied' } })
  }
}

const REFUSED: Record<string, () => Fields> = {
  '1 server_name with directives': () => virtualHost({ server_name: 'a.com; return 200 x; #' }),
  '2 server_name with line break and block end': () =>
    virtualHost({ server_name: 'a.com\n} load_module x; {' }),
  '3 path that opens a block': () => at({ path: '/bla{alias /var/run/secrets/;}location ~* ^/abcd' }),
  '4 path with a quote': () => at({ path: '/"; alias /etc/; #' }),
  '5 path that ends in a backslash': () => at({ path: '/a\\' }),
  '5 server_name that ends in a backslash': () => virtualHost({ server_name: 'a.com\\' }),
  '5 root that ends in a backslash': () => at({ proxy_pass: null, root: '/srv\\' }),
  ...Object.fromEntries(
    ['\r', '\n', '\0', '\v', '\f', '\u0085', '\u2028', '\u2029'].flatMap((sign, index) => [
      [`6 control character ${index} in a path`, () => at({ path: `/a${sign}b` })],
      [
        `6 control character ${index} in a regular expression`,
        () => at({ path: `~ ^/a${sign}b`, proxy_pass: 'http://127.0.0.1:9' }),
      ],
      [`6 control character ${index} in a header`, () => header(`a${sign}b`)],
      [`6 control character ${index} in a name`, () => virtualHost({ name: `probe${sign}b` })],
      [
        `6 control character ${index} at the end of a server name`,
        () => virtualHost({ server_name: `a.com${sign}` }),
      ],
    ]),
  ),
  '7 URL with a fragment': () => at({ proxy_pass: 'http://a.com/#;load_module x' }),
  '8 proxy target with directives': () =>
    at({ proxy_pass: 'http://ok/; proxy_pass http://169.254.169.254; #' }),
  '8 proxy target with a line break': () => at({ proxy_pass: 'http://ok/\nroot /etc;' }),
  '8 proxy target of a socket': () => at({ proxy_pass: 'http://unix:/var/run/docker.sock:/' }),
  '8 proxy target with a variable': () => at({ proxy_pass: 'http://$http_host' }),
  '8 proxy target with a user': () => at({ proxy_pass: 'http://a:b@c.com' }),
  '10 id that is none': () => at({ proxy_pass: null, upstream_id: '../../etc/passwd' }),
  '10 label with a line break': () => virtualHost({ target_agents: { match_labels: { 'a\nb': 'c' } } }),
  '11 header value with CR LF': () => header('a\r\nSet-Cookie: x=1'),
  '11 header name with a space': () => header('a', 'X Probe'),
  '11 header name with a directive': () => header('a', 'X; return 200'),
  '12 enum with a line break': () => virtualHost({ template_id: 'default;\n' }),
  '13 name with a line break': () => virtualHost({ name: 'probe\n}\nload_module x;' }),
  '13 summary with a line break': () => virtualHost({ change_summary: 'a\nb' }),
  '15 100 kB of regular expression': () => at({ path: `~ ${'a'.repeat(100_000)}` }),
  '16 port with a semicolon': () => virtualHost({ listen_port: '80;' }),
  '16 port -1': () => virtualHost({ listen_port: -1 }),
  '16 port 2^53': () => virtualHost({ listen_port: 2 ** 53 }),
  '16 port 80.5': () => virtualHost({ listen_port: 80.5 }),
  '17 camelCase twin': () => virtualHost({ listenPort: 81 }),
  '17 unknown field in a location': () => at({ proxyPass: 'http://a.com' }),
  '18 template expression in a server name': () =>
    virtualHost({ server_name: "{{constructor.constructor('return 1')()}}" }),
  '18 template expression as template': () => virtualHost({ template_id: '{{#each this}}x{{/each}}' }),
  '19 full-width semicolon': () => virtualHost({ server_name: 'a.com；b.com' }),
  '19 zero-width character': () => virtualHost({ server_name: 'a\u200bb.com' }),
  '19 right-to-left mark': () => virtualHost({ server_name: 'a\u202eb.com' }),
}

test.each(Object.keys(REFUSED))('%s: refused, nothing stored, nothing live touched', async name => {
  const answer = await post(REFUSED[name]?.())
  expect({ name, status: answer.status }).toEqual({ name, status: 422 })
  const error = JSON.parse(answer.body).error
  expect(error.code).toBe('VALIDATION_ERROR')
  expect(error.details.length).toBeGreaterThan(0)
  expect((await system.client.call('virtual_hosts_list')).meta.total).toBe(0)
})

const MALFORMED: Record<string, () => string> = {
  '16 a number beyond all numbers': () =>
    JSON.stringify(virtualHost({})).replace(/"listen_port":\d+/, '"listen_port":1e309'),
  '17 a key twice': () => JSON.stringify(virtualHost({})).replace('{', '{"name":"first",'),
  '17 __proto__': () => JSON.stringify(virtualHost({})).replace('{', '{"__proto__":{"x":1},'),
  '17 a nested key twice': () => JSON.stringify(virtualHost({})).replace('"path":', '"path":"/b","path":'),
  'JSON of depth 10,000': () => `${'['.repeat(10_000)}${']'.repeat(10_000)}`,
  'a lone surrogate': () => JSON.stringify(virtualHost({})).replace('probe.example.com', '\\ud800.com'),
}

test.each(Object.keys(MALFORMED))('%s: refused, nothing stored', async name => {
  const { status } = await postText(MALFORMED[name]?.() ?? '')
  expect([400, 413, 422]).toContain(status)
  expect((await system.client.call('virtual_hosts_list')).meta.total).toBe(0)
})

const VARIABLES = `$http_authorization $${'{host}'}`

const QUOTED: Record<string, { body: () => Fields; header?: string }> = {
  '5 header that ends in a backslash': { body: () => header('a\\'), header: 'a\\' },
  '9 regular expression that closes blocks': {
    body: () => at({ path: '~ ^/a}}} location / { return 200 x; }' }),
  },
  '11 header value with quotes': { body: () => header(`it's "quoted"; }`), header: `it's "quoted"; }` },
  '14 a variable in a literal field': {
    body: () => header(VARIABLES),
    header: VARIABLES,
  },
  '15 a regular expression that explodes': { body: () => at({ path: '~ (a+)+$' }) },
  '18 a template expression in a header': {
    body: () => header("{{constructor.constructor('return 1')()}}"),
    header: "{{constructor.constructor('return 1')()}}",
  },
  'a comment sign in a header': { body: () => header('a # b; return 500'), header: 'a # b; return 500' },
  'a regular expression with a trailing backslash': { body: () => at({ path: '~ ^/a\\\\' }) },
  'a name that ends a comment’s line in other languages': {
    body: () => virtualHost({ name: 'probe */ --> #{x}' }),
  },
}

test.each(Object.keys(QUOTED))('%s: served as the text that it is', async name => {
  const made = await post(QUOTED[name]?.body())
  const { data, meta } = JSON.parse(made.body)
  const { state, reason } = meta?.deployment ?? {}
  expect({ name, status: made.status, state, reason }).toEqual({
    name,
    status: 201,
    state: 'applied',
    reason: null,
  })
  expect(shape('probe')).toBe(data.locations[0].path.startsWith('~') ? harmless.regex : harmless.prefix)
  expect(sites()).toHaveLength(1)
  const expected = QUOTED[name]?.header
  if (expected !== undefined) {
    const answer = await ask({ port: agent.nginx.port, host: 'probe.example.com', path: '/a' })
    expect(answer.headers['x-probe']).toBe(expected)
  }
})

test('an upstream’s name, address and numbers are typed as well', async () => {
  const { workspace_id } = system
  const server = { address: '127.0.0.1:80' }
  const bodies = [
    { name: 'a; }', servers: [server] },
    { name: 'a"', servers: [server] },
    { name: 'a\n', servers: [server] },
    { name: 'unix:/x', servers: [server] },
    { name: 'a', servers: [{ address: 'unix:/var/run/docker.sock' }] },
    { name: 'a', servers: [{ address: '127.0.0.1:80; server 1.1.1.1' }] },
    { name: 'a', servers: [{ address: 'a.com:80 backup' }] },
    { name: 'a', servers: [{ ...server, weight: 0 }] },
    { name: 'a', servers: [{ ...server, weight: -1 }] },
    { name: 'a', servers: [{ ...server, fail_timeout: '10;' }] },
    { name: 'a', servers: [server], algorithm: 'ip_hash;\n' },
    { name: 'a', servers: [server], __proto_: 1 },
  ]
  for (const body of bodies) {
    const answer = await postText(JSON.stringify({ workspace_id, ...body }), '/upstreams')
    expect({ body, status: answer.status }).toEqual({ body, status: 422 })
  }
  expect((await system.client.call('upstreams_list')).meta.total).toBe(0)
})
