import { afterEach, expect, test } from 'bun:test'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { frame, makeBundle, makeTestAgent, site } from '../testing/agent.ts'
import { makePrivateNginx } from '../testing/private-nginx.ts'

/** Debian's own files of /etc/nginx, in a folder and on a port of their own. */

const undo: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

const DEFAULT_PAGE = `the operator's page, ${'long enough for gzip '.repeat(20)}`

async function debiansNginx() {
  const moved = readFileSync('/etc/nginx/nginx.conf', 'utf8')
    .replaceAll('/etc/nginx', '{folder}')
    .replaceAll('/var/log/nginx', '{folder}/log')
    .replace('/run/nginx.pid', '{folder}/nginx.pid')
  const nginx = await makePrivateNginx({ conf: moved })
  undo.push(() => nginx.close())
  const { folder, port } = nginx
  // The workers run as www-data.
  chmodSync(folder, 0o755)
  cpSync('/etc/nginx', folder, { recursive: true, filter: path => !path.endsWith('/nginx.conf') })
  mkdirSync(join(folder, 'log'))
  page(join(folder, 'html'), DEFAULT_PAGE)
  const site_path = join(folder, 'sites-available/default')
  const text = readFileSync('/etc/nginx/sites-available/default', 'utf8')
  expect(text).toContain('listen 80 default_server;')
  expect(text).toContain('listen [::]:80 default_server;')
  writeFileSync(
    site_path,
    text.replaceAll(/^(\s*listen (?:\[::\]:)?)80\b/gm, `$1${port}`).replaceAll('/var/www', folder),
  )
  for (const name of readdirSync(join(folder, 'sites-enabled'))) rmSync(join(folder, 'sites-enabled', name))
  symlinkSync(site_path, join(folder, 'sites-enabled/default'))
  const extra = `server { listen ${port}; server_name extra; return 200 "extra"; }\n`
  writeFileSync(join(folder, 'conf.d/extra.conf'), extra)
  writeFileSync(join(folder, 'modules-enabled/50-none.conf'), '# a module would be loaded here\n')
  await nginx.start()
  return nginx
}

function page(folder: string, text: string): void {
  mkdirSync(folder)
  writeFileSync(join(folder, 'index.html'), text)
}

test('Debian’s own layout is taken over with all it serves, and a site goes live beside its default server', async () => {
  const nginx = await debiansNginx()
  const { folder, port } = nginx
  const operators = async () => {
    expect(await nginx.get('/', 'anything')).toEqual({ status: 200, body: DEFAULT_PAGE })
    expect((await nginx.get('/', 'extra')).body).toBe('extra')
    const six = await fetch(`http://[::1]:${port}/`, { headers: { connection: 'close' } })
    expect(await six.text()).toBe(DEFAULT_PAGE)
    expect(six.headers.get('content-encoding')).toBe('gzip')
  }
  await operators()

  page(join(folder, 'ours'), 'ours')
  const settings = { ...nginx.settings, listen_address: null, allowed_roots: [folder] }
  const agent = await makeTestAgent({ ...nginx, settings })
  undo.push(() => agent.close())
  await operators()
  const { render } = await agent.agent.orders.facts()
  expect(render.carried.default_servers).toEqual([`*:${port}`, `[::]:${port}`])
  expect(render.carried.http_directives).toContain('gzip')

  const target = { type: 'root', root: join(folder, 'ours'), index: 'index.html' } as const
  const ours = site(1, port, 'v1', { locations: [{ path: '/', target, custom_headers: [] }] })
  const bundle = makeBundle([...frame(port), ours])
  expect(await agent.prepare(1, bundle)).toMatchObject({ type: 'prepared' })
  expect(await agent.commit(1, bundle)).toMatchObject({ type: 'serving' })
  expect((await nginx.get('/', 's1.example.com')).body).toBe('ours')
  await operators()
})
