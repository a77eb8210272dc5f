import { expect, test } from 'bun:test'
import { parseConfig } from '../parser.ts'
import { checkAllowed, defaultPolicy, type LocalPolicy } from './allowed.ts'
import { assertUnchangedTree, TreeChangedError } from './tree.ts'

const FOLDER = '/etc/nginx/conf.d/20260101000000'

function refused(text: string, change: Partial<LocalPolicy> = {}): string[] {
  const policy = { ...defaultPolicy(FOLDER, ['/var/lib/nxmesh', '/home/agent/state']), ...change }
  return checkAllowed(parseConfig(text).directives, policy).map(({ directive }) => directive)
}

test('a value that becomes a directive, a block or an argument changes the tree', () => {
  const harmless = 'server { server_name x; location /x { } }'
  assertUnchangedTree('server { server_name "a;b"; location "/a{}" { } }', harmless)
  for (const text of [
    'server { server_name a; return 200; location /x { } }',
    'server { server_name a b; location /x { } }',
    'server { server_name a; location /x { } location /y { } }',
    'server { server_name a; location /x { alias /etc; } }',
    'server { server_name a; } location /x { }',
  ]) {
    expect(() => assertUnchangedTree(text, harmless)).toThrow(TreeChangedError)
  }
})

test('directives that reach into the process, its files or other code are refused on the host', () => {
  for (const text of [
    'load_module /tmp/x.so;',
    'env SECRET;',
    'user root;',
    'ssl_engine /proc/self/fd/9;',
    "perl_set $x 'sub{}';",
    'js_import x.js;',
    'content_by_lua_block x;',
    'proxy_cache_path /etc keys_zone=a:1m;',
    'client_body_temp_path /etc;',
    'dav_methods PUT;',
    'worker_processes 100;',
    'unheard_of x;',
  ]) {
    expect(refused(text)).toHaveLength(1)
  }
  expect(refused('server { gzip on; perl_set $x y; }')).toEqual(['perl_set'])
})

test('includes and read files stay inside the deployment', () => {
  expect(refused(`include ${FOLDER}/sites/*.conf;`)).toEqual([])
  expect(refused(`server { ssl_certificate ${FOLDER}/certificates/a.pem; }`)).toEqual([])
  for (const path of [
    '/etc/passwd',
    `${FOLDER}/../x`,
    `${FOLDER}0/x`,
    'x.conf',
    '../../x',
    `${FOLDER}/$host`,
  ]) {
    expect(refused(`include ${path};`)).toEqual(['include'])
    expect(refused(`server { ssl_certificate_key ${path}; }`)).toEqual(['ssl_certificate_key'])
  }
  expect(refused('types { include /etc/passwd; }')).toEqual(['include'])
})

test('files are served from content folders only', () => {
  for (const path of [
    '/srv/www',
    '/var/www',
    '/opt/shop/public',
    '/srv//www/',
    '/srv/www/.well-known/acme-challenge',
  ]) {
    expect(refused(`server { root ${path}; }`)).toEqual([])
  }
  for (const path of [
    ...['/', '/etc', '/etc/nginx', '/proc/self', '/root', '/var', '/var/lib/nxmesh', '/run', '/dev', '/sys'],
    ...['/home/shop/public', '/srv/www/.git', '/opt/x/.ssh/', '/srv/.well-known-not'],
    ...['/srv/../etc', '/home/agent/state', '/home/agent', '/home', '/srv/$arg_x', 'html', FOLDER],
  ]) {
    expect(refused(`server { location / { root ${path}; } }`)).toEqual(['root'])
    expect(refused(`server { location / { alias ${path}; } }`)).toEqual(['alias'])
  }
})

test('the longest folder decides, so that an operator can open one below a barred one', () => {
  const change = { content_folders: ['/root/demo/www'] }
  expect(refused('server { root /root/demo/www/site; }', change)).toEqual([])
  expect(refused('server { root /root/demo; }', change)).toEqual(['root'])
  const hidden = { content_folders: ['/shop/.demo/www'] }
  expect(refused('server { root /shop/.demo/www/site; }', hidden)).toEqual([])
  expect(refused('server { root /shop/.demo/www/.git; }', hidden)).toEqual(['root'])
})

test('logs and sockets', () => {
  expect(refused('access_log off; error_log /var/log/nginx/a.log;')).toEqual([])
  for (const path of [
    '/etc/cron.d/x',
    'syslog:server=10.0.0.1',
    '/var/log/nginx/../x',
    '/var/log/nginx/$host',
    'stderr',
  ]) {
    expect(refused(`access_log ${path};`)).toEqual(['access_log'])
  }
  expect(refused('error_log off;')).toEqual(['error_log'])
  expect(refused('server { location / { proxy_pass http://unix:/var/run/docker.sock:/; } }')).toEqual([
    'proxy_pass',
  ])
  expect(refused('upstream u { server unix:/run/a.sock; }')).toEqual(['server'])
  expect(refused('upstream u { server unix:/run/a.sock; }', { unix_sockets: ['/run/a.sock'] })).toEqual([])
})
