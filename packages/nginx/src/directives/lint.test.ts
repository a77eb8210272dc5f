import { expect, test } from 'bun:test'
import { parseConfig } from '../parser.ts'
import { type LintOptions, lint } from './lint.ts'

const messages = (text: string, options: LintOptions = { context: 'http' }): string[] =>
  lint(parseConfig(text).directives, options).map(({ line, message }) => `${line}: ${message}`)

test('unknown directives, wrong places and wrong counts are named with their line', () => {
  expect(messages('server {\n  listen 80;\n  bogus on;\n}')).toEqual(['3: unknown directive "bogus"'])
  expect(messages('listen 80;')).toEqual(['1: "listen" directive is not allowed here'])
  expect(messages('server { proxy_pass http://x; }')).toEqual([
    '1: "proxy_pass" directive is not allowed here',
  ])
  expect(messages('server {\n server_name;\n root a b;\n}')).toEqual([
    '2: invalid number of arguments in "server_name" directive',
    '3: invalid number of arguments in "root" directive',
  ])
  expect(messages('server;')).toEqual(['1: directive "server" has no opening "{"'])
  expect(messages('gzip on { }')).toEqual(['1: directive "gzip" is not terminated by ";"'])
})

test('the same name means different things in different blocks', () => {
  const text =
    'upstream u { server 127.0.0.1 backup; keepalive 4; keepalive_timeout 60s; } server { keepalive_timeout 60s 30s; }'
  expect(messages(text)).toEqual([])
  expect(messages('server { keepalive 4; }')).toEqual(['1: "keepalive" directive is not allowed here'])
  expect(messages('stream { server { listen 1; proxy_pass u; } }', { context: 'main' })).toEqual([])
})

test('if has contexts of its own', () => {
  expect(messages('server { if ($a) { return 200; } location / { if ($a) { add_header a b; } } }')).toEqual(
    [],
  )
  expect(messages('server { if ($a) { add_header a b; } }')).toEqual([
    '1: "add_header" directive is not allowed here',
  ])
})

test('versions and modules decide what is there', () => {
  expect(messages('server { http2 on; }', { context: 'http', nginx_version: '1.22.1' })).toEqual([
    '1: "http2" needs nginx 1.25.1, this one is 1.22.1',
  ])
  expect(messages('server { http2 on; }', { context: 'http', nginx_version: '1.26.0' })).toEqual([])
  expect(messages('server { ssl on; }', { context: 'http', nginx_version: '1.26.0' })).toEqual([
    '1: "ssl" is gone since nginx 1.25.1',
  ])
  expect(
    messages('server { gzip on; http3 on; }', { context: 'http', modules: ['http_gzip_module'] }),
  ).toEqual(['1: "http3" needs nginx with http_v3_module, which this one lacks'])
})

test('units are not the same everywhere', () => {
  expect(messages('proxy_read_timeout 1500ms;')).toEqual([])
  expect(messages('ssl_session_timeout 1500ms;')[0]).toContain('whole seconds')
  expect(messages('client_max_body_size 1g;')).toEqual([])
  expect(messages('proxy_buffer_size 1g;')[0]).toContain('invalid size')
  expect(messages('proxy_read_timeout 1.5s;')[0]).toContain('invalid time')
  expect(messages('gzip yes;')[0]).toContain('must be "on" or "off"')
  expect(messages('gzip_static sometimes;')[0]).toContain('none of off, on, always')
  expect(messages('proxy_buffers 8 16k;')).toEqual([])
})

test('data blocks hold no directives', () => {
  expect(messages('map $a $b { default 1; x y; } types { text/html html; } geo $c { default 1; }')).toEqual(
    [],
  )
})
