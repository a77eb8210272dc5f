import { afterEach, expect, test } from 'bun:test'
import { appendFileSync, chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { frame, makeBundle, makeTestAgent, site } from '../testing/agent.ts'
import { makePrivateNginx, type PrivateNginx } from '../testing/private-nginx.ts'

const undo: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

const WAIT_MAX_MS = 30_000
const LONG_NAME = `${'a'.repeat(50)}.${'b'.repeat(37)}.example.com`

const CONF = `worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server_names_hash_bucket_size 256;
    include sites/*;
}
`

async function scene(own_site: (port: number) => string, binary?: (nginx: PrivateNginx) => string) {
  const nginx = await makePrivateNginx({ conf: CONF })
  undo.push(() => nginx.close())
  mkdirSync(join(nginx.folder, 'sites'))
  writeFileSync(join(nginx.folder, 'sites/own'), own_site(nginx.port))
  await nginx.start()
  const settings = binary === undefined ? nginx.settings : { ...nginx.settings, binary: binary(nginx) }
  const agent = await makeTestAgent({ ...nginx, settings })
  undo.push(() => agent.close())
  return { nginx, agent }
}

test('a carried site with a 100-character name is served on beside a new one, with the operator’s bucket size', async () => {
  expect(LONG_NAME).toHaveLength(100)
  const { nginx, agent } = await scene(
    // Two, because nginx needs no hash for the only server of an address.
    port => `server { listen 127.0.0.1:${port}; server_name ${LONG_NAME}; return 200 "mine"; }
server { listen 127.0.0.1:${port}; server_name other; return 200 "other"; }\n`,
  )
  expect((await nginx.get('/', LONG_NAME)).body).toBe('mine')
  const { render } = await agent.agent.orders.facts()
  expect(render.carried.hash_floors?.server_names_hash_bucket_size).toBe(256)
  expect(render.carried.http_directives).not.toContain('server_names_hash_bucket_size')
  const bundle = makeBundle([...frame(nginx.port), site(1, nginx.port, 'new')])
  expect(await agent.prepare(1, bundle)).toMatchObject({ type: 'prepared' })
  expect(await agent.commit(1, bundle)).toMatchObject({ type: 'serving' })
  expect((await nginx.get('/', LONG_NAME)).body).toBe('mine')
  expect((await nginx.get('/', 's1.example.com')).body).not.toBe('mine')
})

test(
  'the master is told when the operator edits what nginx.conf includes',
  async () => {
    const { nginx, agent } = await scene(
      port => `server { listen 127.0.0.1:${port}; server_name own; return 200 "mine"; }\n`,
    )
    const before = await agent.agent.orders.facts()
    expect(before.render.carried.default_servers).toEqual([`127.0.0.1:${nginx.port}`])
    appendFileSync(join(nginx.folder, 'sites/own'), 'server { listen 127.0.0.1:9; server_name other; }\n')
    const changed = await agent.next(0, 'facts_changed')
    expect(changed.facts.render.carried.default_servers).toContain('127.0.0.1:9')
    rmSync(join(nginx.folder, 'sites/own'))
    expect((await agent.next(0, 'facts_changed')).facts.render.carried.default_servers).toEqual([])
  },
  WAIT_MAX_MS,
)

test(
  'the master is told of another version of nginx as soon as the executable is replaced',
  async () => {
    const wrapper = (nginx: PrivateNginx, version: string) => {
      const path = join(nginx.folder, 'nginx')
      const edit = version === '' ? '' : `| sed 's,nginx version: nginx/.*,nginx version: nginx/${version},'`
      writeFileSync(path, `#!/bin/sh\n/usr/sbin/nginx "$@" 2>&1 ${edit}\n`)
      chmodSync(path, 0o755)
      return path
    }
    const { nginx, agent } = await scene(
      port => `server { listen 127.0.0.1:${port}; }\n`,
      one => wrapper(one, ''),
    )
    const before = await agent.agent.orders.facts()
    expect(before.render.nginx_version).not.toBe('1.99.9')
    wrapper(nginx, '1.99.9')
    expect((await agent.next(0, 'facts_changed')).facts.render.nginx_version).toBe('1.99.9')
    expect(readFileSync(join(nginx.folder, 'nginx'), 'utf8')).toContain('1.99.9')
  },
  WAIT_MAX_MS,
)
