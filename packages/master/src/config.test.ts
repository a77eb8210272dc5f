import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { networksOf } from './addresses.ts'
import { loadConfig, printConfig } from './config.ts'
import type { ConfigSources } from './config-values.ts'

const dir = mkdtempSync(join(tmpdir(), 'nxmesh-config-'))
afterAll(() => rmSync(dir, { recursive: true }))

let files = 0
function file(text: string): string {
  const path = join(dir, `${++files}`)
  writeFileSync(path, text)
  return path
}
const refused = (sources: ConfigSources, why: string | RegExp) =>
  expect(loadConfig(sources)).rejects.toThrow(why)

test('without any setting the master listens on 8443 and keeps SQLite in its data folder', async () => {
  expect(await loadConfig({})).toMatchObject({
    data_dir: '/var/lib/nxmesh',
    listen: { host: '0.0.0.0', port: 8443 },
    listen_plain: null,
    database_url: 'sqlite:/var/lib/nxmesh/master.db',
    tls: null,
    master_key: { value: null, command: null, file: '/var/lib/nxmesh/master.key', may_create: true },
    outgoing_allow: [],
    log_level: 'info',
  })
})

test('flags win over the environment, the environment over the file, the file over defaults', async () => {
  const yaml = file(
    'listen: 1.1.1.1:1\ndata_dir: /file\nlog:\n  level: warn\nserver_names: [a.example, b.example]\n',
  )
  const environment = { NXMESH_LISTEN: '2.2.2.2:2', NXMESH_LOG_LEVEL: 'debug', HOME: '/root' }
  const config = await loadConfig({ file: yaml, environment, flags: { listen: '[::1]:3' } })
  expect(config).toMatchObject({
    data_dir: '/file',
    listen: { host: '::1', port: 3 },
    log_level: 'debug',
    server_names: ['a.example', 'b.example'],
  })
})

test('a secret can lie in a file of its own, named by flag, environment or YAML', async () => {
  const secret = file('postgresql://u:geheim@db/nxmesh\n')
  const wanted = { database_url: 'postgresql://u:geheim@db/nxmesh' }
  expect(await loadConfig({ environment: { NXMESH_DATABASE_URL_FILE: secret } })).toMatchObject(wanted)
  expect(await loadConfig({ flags: { 'database-url-file': secret } })).toMatchObject(wanted)
  expect(await loadConfig({ file: file(`database:\n  url_file: ${secret}\n`) })).toMatchObject(wanted)
  await refused({ environment: { NXMESH_DATABASE_URL_FILE: join(dir, 'gone') } }, 'cannot be read')
  await refused({ environment: { NXMESH_DATABASE_URL: 'x', NXMESH_DATABASE_URL_FILE: secret } }, 'set twice')
})

test('a file that is no YAML is told with the place, and not quoted', async () => {
  const broken = file('database:\n  url: postgresql://u:geheim@db/x: [\n')
  const error: Error = await loadConfig({ file: broken }).catch(one => one)
  expect(error.message).toMatch(/line 2/)
  expect(Bun.inspect(error)).not.toContain('geheim')
})

test('no proxy is trusted until it is named, and a network that is none says why', async () => {
  expect((await loadConfig({})).trusted_proxies).toEqual([])
  const yaml = file('trusted_proxies: [10.0.0.0/8, "2001:db8::1"]\n')
  expect((await loadConfig({ file: yaml })).trusted_proxies).toMatchObject([
    { version: 4, prefix: 8 },
    { version: 6, prefix: 128 },
  ])
  await refused({ environment: { NXMESH_TRUSTED_PROXIES: '10.1.2.3/8' } }, 'the network is 10.0.0.0/8')
  await refused({ flags: { 'trusted-proxies': 'proxy.example' } }, /trusted_proxies has "proxy.example"/)
})

test('the age of session keys is set in days, from each place that settings come from', async () => {
  expect((await loadConfig({})).agent_keys).toEqual({ max_age_days: 30, grace_s: 86_400 })
  const environment = { NXMESH_AGENT_KEYS_MAX_AGE_DAYS: '7' }
  expect((await loadConfig({ environment })).agent_keys.max_age_days).toBe(7)
  const yaml = file('agent_keys:\n  max_age_days: 90\n  grace_s: 3600\n')
  expect((await loadConfig({ file: yaml })).agent_keys).toEqual({ max_age_days: 90, grace_s: 3_600 })
  for (const bad of ['0', '-1', '1.5', 'never', ''])
    await refused({ flags: { 'agent-keys-max-age-days': bad } }, 'agent_keys.max_age_days')
})

test('a configured master key file is never made by the master', async () => {
  const config = await loadConfig({ environment: { NXMESH_MASTER_KEY_FILE: '/run/key' } })
  expect(config.master_key).toMatchObject({ file: '/run/key', may_create: false })
})

test('of the three ways to give the master key, the strongest place decides, and one place names one', async () => {
  const yaml = file('master_key_command: cat /key\n')
  const config = await loadConfig({ file: yaml, environment: { NXMESH_MASTER_KEY_FILE: '/run/key' } })
  expect(config.master_key).toMatchObject({ command: null, value: null, file: '/run/key' })
  await refused(
    { environment: { NXMESH_MASTER_KEY_FILE: '/a', NXMESH_MASTER_KEY_COMMAND: 'b' } },
    'set twice',
  )
})

test('an unknown or doubled setting is an error, wherever it stands', async () => {
  await refused({ flags: { lisen: 'x' } }, '--lisen')
  await refused({ environment: { NXMESH_LISEN: 'x' } }, 'NXMESH_LISEN')
  await refused({ file: file('lisen: x') }, '"lisen"')
  await refused({ file: file('tls:\n  key: x') }, '"tls.key"')
  await refused({ file: file('listen: a:1\nlisten: b:2') }, 'unique')
  await refused({ file: file('tls: x') }, 'tls must hold settings')
  await refused({ file: file('listen: [a]') }, 'listen must be a text')
  await refused({ file: file('- a') }, 'the file must hold settings')
})

test('ranges inside that may be reached come as a list', async () => {
  const ranges = { outgoing_allow: networksOf(['10.1.0.0/16', 'fd00::1']) }
  expect(await loadConfig({ file: file('outgoing:\n  allow: [10.1.0.0/16, "fd00::1"]\n') })).toMatchObject(
    ranges,
  )
  expect(await loadConfig({ environment: { NXMESH_OUTGOING_ALLOW: '10.1.0.0/16,fd00::1' } })).toMatchObject(
    ranges,
  )
})

test('variables of the agent and of the demo are left alone', async () => {
  await loadConfig({ environment: { NXMESH_TOKEN: 'x', NXMESH_DEMO_DIR: '/x', NXMESH_CONFIG: '/y' } })
})

test('values that make no sense are refused with the reason and the place', async () => {
  await refused({ flags: { listen: '8443' } }, 'listen must be address:port')
  await refused({ flags: { listen: 'a:70000' } }, 'flag --listen')
  await refused({ flags: { 'listen-plain': '0.0.0.0:80' } }, 'loopback')
  await refused({ flags: { 'listen-plain': '127.0.0.1.evil.example:80' } }, 'loopback')
  await refused({ flags: { 'public-url': 'http://a' } }, 'public_url')
  await refused({ flags: { 'public-url': 'https://a/b' } }, 'public_url')
  await refused({ flags: { 'tls-key-file': '/k' } }, /^tls.certificate_file is needed beside tls.key_file\.$/)
  await refused(
    { flags: { 'database-url': 'mysql://u:geheim@db/x' } },
    /^database.url must be sqlite:[^@]*--database-url\)\.$/,
  )
  await refused({ flags: { 'log-level': 'loud' } }, 'log.level')
  await refused({ flags: { 'outgoing-allow': '10.0.0.0/8, idp.example' } }, 'must be an IPv4 or IPv6 network')
  await refused(
    { file: file('outgoing:\n  allow: [10.0.0.0/40]') },
    'has "10.0.0.0/40": the prefix /40 does not fit',
  )
  await refused({ flags: { 'data-dir': '' } }, 'data_dir must not be empty')
})

test('printing shows where each value came from, and no secret', async () => {
  const sources = {
    flags: { listen: '127.0.0.1:1' },
    environment: { NXMESH_DATABASE_URL: 'postgresql://u:geheim@db/x', NXMESH_MASTER_KEY: 'sehrgeheim' },
    file: file('log:\n  level: debug\n'),
  }
  const text = await printConfig(sources, true)
  expect(text).toContain('listen: "127.0.0.1:1"  # flag --listen')
  expect(text).toContain('data_dir: "/var/lib/nxmesh"  # default')
  expect(text).toContain(`log.level: "debug"  # ${sources.file}`)
  expect(text).toContain('database.url: ********  # environment NXMESH_DATABASE_URL')
  expect(text).toContain('listen_plain: null  # not set')
  expect(text).not.toContain('geheim')
  expect(await printConfig(sources, false)).not.toContain('#')
})
