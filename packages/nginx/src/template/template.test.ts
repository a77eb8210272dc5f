import { expect, test } from 'bun:test'
import { TemplateError } from '../errors.ts'
import { parseConfig, walk } from '../parser.ts'
import { provedTemplate } from '../render/proved-template.ts'
import { checkText, httpConfig, removeFolder, testFolder } from '../testing/nginx.ts'
import { DOLLAR } from './policy.ts'
import { template } from './template.ts'
import { keyword, literal, regex, withVariables, words } from './values.ts'

/** The specification's example (MF-003), verbatim. */
const EXAMPLE = `# Example virtual host template
server {
    listen {{port}} {{#if ssl}}ssl{{/if}} {{#if http2}}http2{{/if}};
    server_name {{server_name}};
    
    {{#if ssl}}
    ssl_certificate {{ssl_certificate_path}};
    ssl_certificate_key {{ssl_certificate_key_path}};
    {{/if}}
    
    location {{location_path}} {
        proxy_pass http://{{upstream_name}};
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        
        {{#each custom_headers}}
        add_header {{name}} "{{value}}";
        {{/each}}
        
        {{#if rate_limiting}}
        limit_req zone={{rate_limit_zone}} burst={{rate_limit_burst}};
        {{/if}}
    }
}
`

const DATA = {
  port: 8080,
  server_name: 'a.example.com',
  location_path: '/api',
  upstream_name: 'backend',
  custom_headers: [{ name: 'X-A', value: 'say "hi", pay $5 \\' }],
  ssl_certificate_path: '/etc/ssl/a b.pem',
  ssl_certificate_key_path: '/etc/ssl/a.key',
  rate_limit_zone: 'per_ip',
  rate_limit_burst: 20,
}

function refusal(
  text: string,
  data: Parameters<ReturnType<typeof template>['render']>[0] = DATA,
): TemplateError {
  try {
    template(text).render(data)
  } catch (error) {
    if (error instanceof TemplateError) return error
    throw error
  }
  throw new Error(`was accepted: ${text}`)
}

const listens = (text: string): string[] => {
  const found: string[] = []
  walk(parseConfig(text).directives, ({ name, args }) => {
    if (name === 'listen') found.push(args.map(({ value }) => value).join(' '))
  })
  return found
}

test("the specification's example renders verbatim and nginx takes it", async () => {
  const folder = testFolder()
  const text = provedTemplate(EXAMPLE).render(DATA)
  const rest =
    'upstream backend { server 127.0.0.1:9; }\nlimit_req_zone $remote_addr zone=per_ip:1m rate=1r/s;\n'
  const dollar = 'geo $nx_dollar { default "$"; }\n'
  const limited = provedTemplate(EXAMPLE).render({
    ...DATA,
    rate_limiting: true,
    server_name: 'b.example.com',
  })
  const answer = await checkText(folder, httpConfig(folder, rest + dollar + text + limited))
  removeFolder(folder)
  expect(answer.output).not.toContain('[emerg]')
  expect(answer.ok).toBe(true)
  expect(listens(text)).toEqual(['8080'])
  expect(text).toContain(`add_header X-A "say \\"hi\\", pay ${DOLLAR}5 \\\\";`)
})

test('the example with ssl and http2 switched on', () => {
  const text = provedTemplate(EXAMPLE).render({ ...DATA, ssl: true, http2: true, rate_limiting: true })
  expect(listens(text)).toEqual(['8080 ssl http2'])
  expect(text).toContain('ssl_certificate "/etc/ssl/a b.pem";')
  expect(text).toContain('limit_req zone=per_ip burst=20;')
})

test('what is not part of the subset is refused with its place', () => {
  const refused = [
    '{{{port}}}',
    '{{&port}}',
    '{{> partial}}',
    '{{#> partial}}{{/partial}}',
    '{{* decorator}}',
    '{{{{if port}}}}x{{{{/if}}}}',
    '{{lookup . "port"}}',
    '{{#foo}}{{/foo}}',
    '{{constructor}}',
    '{{port.__proto__}}',
    '{{#each custom_headers as |h|}}{{/each}}',
    '{{eq port=1}}',
    '{{@root.port}}',
    '{{#if port}}',
    '{{',
  ]
  for (const text of refused) expect(refusal(`return 200 ${text};`).line).toBe(1)
  expect(refusal('a;\n b {{{port}}};')).toMatchObject({ line: 2, column: 4 })
})

test('a value may not stand where it would be more than an argument', () => {
  for (const text of [
    '{{server_name}} x;',
    '"{{server_name}}" x;',
    'listen_{{server_name}} x;',
    'a {} {{server_name}};',
    'return 200 "x"{{port}};',
    'return 200 $http_{{port}};',
    'return 200 "$'.concat('{{port}}";'),
    'return 200 \\{{port}};',
    'include {{server_name}};',
    'load_module {{server_name}};',
    'unheard_of {{server_name}};',
    'types { {{server_name}} x; }',
    'if ({{server_name}}) { }',
  ]) {
    expect(refusal(text)).toBeInstanceOf(TemplateError)
  }
})

test('leading signs and schemes with a meaning of their own are closed', () => {
  for (const value of ['~x', '=x', '@x', '^~ x', 'unix:/x', 'SYSLOG:x', 'data:x', 'engine:x']) {
    expect(refusal('access_log {{v}};', { v: value }).message).toContain('special meaning')
    expect(refusal('access_log "{{v}}";', { v: value }).message).toContain('special meaning')
    expect(refusal('proxy_pass http://{{v}};', { v: value }).message).toContain('special meaning')
    expect(refusal('location {{v}} { }', { v: value }).message).toContain('must start with /')
    expect(template('add_header X "{{v}}";').render({ v: value })).toContain(value)
  }
})

test('regular expressions, variables and keywords stand only where they belong', () => {
  const path = words([keyword('~', ['~']), regex('^/a{2}";$')])
  expect(template('location {{p}} { }').render({ p: path })).toBe('location ~ "^/a{2}\\";$" { }')
  expect(refusal('location ~ {{p}} { }', { p: 'literal' }).message).toContain(
    'regular expression is expected',
  )
  expect(refusal('root {{p}};', { p: regex('a') }).message).toContain('no regular expression')
  expect(refusal('location x{{p}} { }', { p: path }).message).toContain('several arguments')
  expect(refusal('location {{p}}x { }', { p: path }).message).toContain('nothing can follow')
  expect(
    refusal('location {{p}}{{q}} { }', { p: words([keyword('=', ['=']), literal('/a')]), q: '/b' }).message,
  ).toContain('nothing can follow')
  const host = withVariables('$host-x', ['host'])
  expect(template('return 200 {{h}}y;').render({ h: host })).toBe(`return 200 "${'$'}{host}-xy";`)
  expect(() => withVariables('$http_authorization', ['host'])).toThrow('not allowed')
  expect(() => withVariables('a $ b', ['host'])).toThrow('does not start')
  expect(refusal('listen {{v}};', { v: '$host' }).message).toContain('"$" cannot stand')
})

test('only own properties are read', () => {
  const data = { list: ['a'], text: 'x', own: JSON.parse('{"toString": "mine"}') }
  expect(template('return 200 {{own.toString}};').render(data)).toBe('return 200 mine;')
  expect(template('{{#if toString}}inherited;{{else}}own;{{/if}}').render(data)).toBe('own;')
  for (const path of ['text.length', 'list.map', 'toString', 'list.concat.name', '../text']) {
    expect(refusal(`return 200 {{${path}}};`, data)).toBeInstanceOf(TemplateError)
  }
})

test('blocks, data variables and helpers', () => {
  const text =
    '{{#each list}}return 200 {{@index}}{{this}}{{#unless @last}}{{../sep}}{{/unless}};{{else}}none;{{/each}}'
  expect(template(text).render({ list: ['a', 'b'], sep: '-' })).toBe('return 200 0a-;return 200 1b;')
  expect(template(text).render({ list: [] })).toBe('none;')
  expect(template('{{#with o}}return {{code}};{{/with}}').render({ o: { code: 204 } })).toBe('return 204;')
  expect(template('{{#if (eq a "x")}}yes;{{else if (not b)}}no;{{/if}}').render({ a: 'y', b: false })).toBe(
    'no;',
  )
  expect(template('return 200 {{join l "-"}};').render({ l: ['a', 1] })).toBe('return 200 a-1;')
  expect(template('return 200 {{v}};').render({ v: '' })).toBe('return 200 "";')
  expect(template('{{! nothing }}# {{v}}\n').render({ v: 'a;b' })).toBe('# a;b\n')
})

test('loops, output and size are bounded', () => {
  const list = Array.from({ length: 1_000 }, () => 'x')
  const loops = '{{#each l}}{{#each ../l}}{{#each ../../l}}a;{{/each}}{{/each}}{{/each}}'
  expect(refusal(loops, { l: list }).message).toContain('loops too often')
  const long = `{{#each l}}# ${'x'.repeat(10_000)}\n{{/each}}`
  expect(refusal(long, { l: list }).message).toContain('too long')
  expect(refusal('x'.repeat(70_000)).message).toContain('at most')
  expect(refusal('{{#if a}}'.repeat(40) + '{{/if}}'.repeat(40)).message).toContain('nested too deeply')
  expect(refusal('return 200 {{v}};', { v: 'x'.repeat(4_001) }).message).toContain('4000 bytes')
})
