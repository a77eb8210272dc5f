import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from './config.ts'

const folder = mkdtempSync(join(tmpdir(), 'nxmesh-config-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const PIN = `sha256/${'A'.repeat(43)}=`
const load = async (args: string[], env: Record<string, string> = {}) =>
  (await loadConfig({ args, env })).config

describe('a setting', () => {
  test('of a flag wins over the environment, that over the file, that over the default', async () => {
    const path = file('a.yaml', 'name: from-file\nstate_dir: /from/file\nlog_level: warn\n')
    const config = await load(['--config', path, '--name', 'from-flag'], {
      NXMESH_NAME: 'x',
      NXMESH_STATE_DIR: '/from/env',
    })
    expect(config).toMatchObject({ name: 'from-flag', state_dir: '/from/env', log_level: 'warn' })
    expect(config.nginx.status_port).toBe(0)
  })

  test('that is secret is read from the file that is named, from every source', async () => {
    const token = file('token', 'nxb_secret\n')
    expect((await load(['--token-file', token])).token).toBe('nxb_secret')
    expect((await load([], { NXMESH_TOKEN_FILE: token })).token).toBe('nxb_secret')
    expect((await load(['--config', file('b.yaml', `token_file: ${token}\n`)])).token).toBe('nxb_secret')
  })

  test('of the key of the master is one or some, none for any, and absent for what was joined with', async () => {
    expect((await load(['--server-key-pin', PIN])).server_key_pins).toEqual([PIN])
    const two = file('pins.yaml', `server_key_pin:\n  - ${PIN}\n  - ${PIN.replace('A', 'B')}\n`)
    expect((await load(['--config', two])).server_key_pins).toEqual([PIN, PIN.replace('A', 'B')])
    expect((await load([], { NXMESH_SERVER_KEY_PIN: 'none' })).server_key_pins).toEqual([])
    expect((await load([])).server_key_pins).toBe(null)
  })

  test('of nginx stands below nginx, also as a list', async () => {
    const path = file(
      'c.yaml',
      'nginx:\n  listen_address: 127.0.0.1\n  allowed_roots: [/srv/a, /srv/b]\n  start: true\n',
    )
    const { nginx } = await load(['--config', path])
    expect(nginx).toMatchObject({
      listen_address: '127.0.0.1',
      allowed_roots: ['/srv/a', '/srv/b'],
      start: true,
    })
  })
})

describe('an error names the setting and where it stands:', () => {
  for (const [what, yaml, message] of [
    ['an unknown key', 'bogus: 1\n', /there is no setting bogus/],
    ['an unknown key of nginx', 'nginx:\n  bogus: 1\n', /there is no setting nginx.bogus/],
    ['a master without TLS', 'master_url: http://m:1\n', /master_url must be https/],
    ['an address that is none', 'nginx:\n  listen_address: "80; x"\n', /nginx.listen_address must be an IP/],
    ['text that is no YAML', 'a: [\n', /bad.yaml/],
    ['a pin that is none', 'server_key_pin: sha256/short\n', /server_key_pin must be up to 4/],
    [
      'too many pins',
      `server_key_pin: [${Array(5).fill(PIN).join(', ')}]\n`,
      /server_key_pin must be up to 4/,
    ],
    ['a token given twice', 'token: a\ntoken_file: /b\n', /both set/],
  ] as const) {
    test(what, async () => {
      await expect(load(['--config', file('bad.yaml', yaml)])).rejects.toThrow(message)
    })
  }

  test('an unknown flag', async () => {
    await expect(load(['--bogus', '1'])).rejects.toThrow('--bogus')
  })

  test('a configuration file that was named and is missing', async () => {
    await expect(load(['--config', join(folder, 'none.yaml')])).rejects.toThrow('does not exist')
  })
})
