import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openExisting } from '@nxmesh/master/database/open-existing'
import { makeTestUrl } from '@nxmesh/master/database/testing'
import { ROTATION_STEPS } from '@nxmesh/master/faults'
import {
  killMasterCommandAt,
  type LoneMaster,
  masterCommand,
  setUpLoneMaster,
  startLoneMaster,
} from '../support/master-command.ts'

setDefaultTimeout(240_000)
const root = mkdtempSync(join(tmpdir(), 'nxmesh-rotate-'))
afterAll(() => rmSync(root, { recursive: true }))
const masters: LoneMaster[] = []
const start = async (args: readonly string[], env = {}) => {
  const master = await startLoneMaster(args, env)
  masters.push(master)
  return master
}
afterEach(async () => {
  for (const master of masters.splice(0)) await master.running.stop()
})

let folders = 0
const newFolder = () => join(root, `data-${++folders}`)

const expectRefused = (done: { status: number | null; output: string }, words: string) => {
  expect(done.output).toContain(words)
  expect(done.output).not.toContain('    at ')
  expect(done.status).toBe(1)
}

/** A secret that the master keeps sealed: the answer with an API key in it, which it gives again under the same Idempotency-Key. */
async function makeSecret(master: LoneMaster, api_key: string, name: string): Promise<string> {
  const answer = await fetch(`${master.plain_url}/api/v1/api-keys`, {
    method: 'POST',
    body: JSON.stringify({ name, role: 'instance_admin', organization_id: null }),
    headers: {
      authorization: `Bearer ${api_key}`,
      'content-type': 'application/json',
      'idempotency-key': name,
    },
  })
  const text = await answer.text()
  if (answer.status !== 201) throw new Error(`${answer.status} ${text}`)
  return text
}

async function wrapsIn(url: string): Promise<string[]> {
  const db = await openExisting(url, { to_read: true })
  const rows = await db.read.selectFrom('data_keys').select('wrapped_key').execute()
  await db.close()
  return rows.map(row => row.wrapped_key)
}

for (const engine of ['sqlite', 'postgresql'] as const) {
  describe(`on ${engine}`, () => {
    test('a rotation killed at any step leaves a key that opens everything, for the master that runs, the next start and the next run', async () => {
      const data_dir = newFolder()
      const database = await makeTestUrl(engine)
      const settings = ['--data-dir', data_dir, '--database-url', database.url]
      let master = await start(settings)
      const { key } = await setUpLoneMaster(master)
      const secret = await makeSecret(master, key, 'first')
      const key_file = join(data_dir, 'master.key')
      for (const step of ROTATION_STEPS) {
        const before = readFileSync(key_file, 'utf8')
        await killMasterCommandAt(step, ['rotate-key', ...settings])
        expect(await makeSecret(master, key, 'first')).toBe(secret)
        await makeSecret(master, key, `at ${step}`.replace(' ', '-'))
        // A start makes good what was cut short, and serves under the key that came of it.
        await master.running.kill()
        master = await start(settings)
        expect(await makeSecret(master, key, 'first')).toBe(secret)
        expect(existsSync(`${key_file}.next`)).toBe(false)
        const changed = readFileSync(key_file, 'utf8') !== before
        expect([step, changed]).toEqual([step, !['key_written', 'wrapping'].includes(step)])

        // So does the next run.
        await killMasterCommandAt(step, ['rotate-key', ...settings])
        const done = await masterCommand(['rotate-key', ...settings])
        expect(done.output).toContain('under the new master key')
        expect(readdirSync(data_dir).filter(name => name.includes('.next'))).toEqual([])
        expect(await makeSecret(master, key, 'first')).toBe(secret)
      }
      await master.running.stop()
      master = await start(settings)
      expect(await makeSecret(master, key, 'first')).toBe(secret)
      const verified = await masterCommand(['audit', 'verify', ...settings])
      expect(verified.status).toBe(0)
      await master.running.stop()
      await database.drop()
    })

    test('while the master seals and opens without a pause, rotations lose nothing, and no old wrap stays', async () => {
      const data_dir = newFolder()
      const database = await makeTestUrl(engine)
      const settings = ['--data-dir', data_dir, '--database-url', database.url]
      const master = await start(settings)
      const { key } = await setUpLoneMaster(master)
      const made = new Map<string, string>()
      let going = true
      const work = async (worker: number) => {
        for (let n = 0; going && n < 200; n++) {
          const name = `w${worker}-${n}`
          made.set(name, await makeSecret(master, key, name))
          const known = [...made.keys()].filter(one => one.startsWith(`w${worker}-`))
          for (let again = 0; again < 5; again++) {
            const one = known[(n * 7 + again * 13) % known.length] ?? name
            expect(await makeSecret(master, key, one)).toBe(made.get(one) ?? '')
          }
        }
      }
      const load = Promise.all([0, 1, 2, 3].map(work))
      const old_wraps: string[] = []
      for (let n = 0; n < 3; n++) {
        old_wraps.push(...(await wrapsIn(database.url)))
        for (const args of [[], ['--data-key']]) {
          const done = await masterCommand(['rotate-key', ...args, ...settings])
          expect(done).toMatchObject({ status: 0 })
          expect(done.output).not.toContain('Old wraps')
        }
      }
      going = false
      await load
      expect(made.size).toBeGreaterThan(20)
      expect(master.running.output()).not.toContain('"ERROR"')
      const wraps = await wrapsIn(database.url)
      for (const old of old_wraps) expect(wraps).not.toContain(old)
      if (engine === 'sqlite') {
        const file = database.url.slice('sqlite:'.length)
        for (const one of [file, `${file}-wal`]) {
          const bytes = readFileSync(one)
          for (const old of old_wraps) expect(bytes.includes(old)).toBe(false)
        }
      }
      await master.running.kill()
      const again = await start(settings)
      for (const [name, text] of made) expect(await makeSecret(again, key, name)).toBe(text)
      await again.running.stop()
      await database.drop()
    })
  })
}

test('where the key is the operator’s, the command says what to change; the old key starts no master, the new one does', async () => {
  const data_dir = newFolder()
  const settings = ['--data-dir', data_dir]
  const key = (byte: number) => Buffer.alloc(32, byte).toString('base64')
  const file = join(root, 'new.key')
  writeFileSync(file, key(2), { mode: 0o600 })
  const master = await start(settings, { NXMESH_MASTER_KEY: key(1) })
  const { key: api_key } = await setUpLoneMaster(master)
  const secret = await makeSecret(master, api_key, 'first')

  const missing = await masterCommand(['rotate-key', ...settings], { NXMESH_MASTER_KEY: key(1) })
  expectRefused(missing, '--new-master-key-file')
  const new_key = ['--new-master-key-command', `cat ${file}`]
  const done = await masterCommand(['rotate-key', ...new_key, ...settings], { NXMESH_MASTER_KEY: key(1) })
  expect(done.status).toBe(0)
  expect(done.output).toContain('Before the next start of any master of this database: set NXMESH_MASTER_KEY')
  for (const one of [key(1), key(2)]) expect(done.output).not.toContain(one)
  expect(await makeSecret(master, api_key, 'first')).toBe(secret)
  await master.running.stop()

  await expect(start(settings, { NXMESH_MASTER_KEY: key(1) })).rejects.toThrow(
    'The master key is not the one',
  )
  const again = await start(settings, { NXMESH_MASTER_KEY: key(2) })
  expect(await makeSecret(again, api_key, 'first')).toBe(secret)
})

test('a command with another data folder cannot harm a master that runs', async () => {
  const [data_dir, other_dir] = [newFolder(), newFolder()]
  const settings = ['--data-dir', data_dir]
  const master = await start(settings)
  const { key } = await setUpLoneMaster(master)
  const secret = await makeSecret(master, key, 'first')
  const other = await start(['--data-dir', other_dir])
  const url = `sqlite:${join(data_dir, 'master.db')}`
  const wraps = await wrapsIn(url)

  // A folder with a key of its own, one that is not there, and one that holds a copy of the key.
  for (const folder of [other_dir, newFolder()]) {
    const refused = await masterCommand(['rotate-key', '--data-dir', folder, '--database-url', url])
    expectRefused(refused, 'is not the one of this database')
  }
  await other.running.stop()
  writeFileSync(join(other_dir, 'master.key'), readFileSync(join(data_dir, 'master.key')))
  const copied = await masterCommand(['rotate-key', '--data-dir', other_dir, '--database-url', url])
  expectRefused(copied, 'is not the one of this database')
  // The right folder with the wrong database.
  const wrong = await masterCommand([
    'rotate-key',
    '--data-dir',
    data_dir,
    '--database-url',
    `sqlite:${join(other_dir, 'master.db')}`,
  ])
  expectRefused(wrong, 'is not the one of this database')
  const none = await masterCommand(['rotate-key', '--data-dir', newFolder()])
  expectRefused(none, 'does not exist')

  expect(await wrapsIn(url)).toEqual(wraps)
  await master.running.kill()
  expect(await makeSecret(await start(settings), key, 'first')).toBe(secret)
})

test('who has a copy of the database and not the master key has no secret', async () => {
  const data_dir = newFolder()
  const master = await start(['--data-dir', data_dir])
  const { key, client } = await setUpLoneMaster(master)
  const answer = JSON.parse(await makeSecret(master, key, 'first')) as { data: { key: string } }
  const workspace_id = (await client.call('workspaces_list')).data[0]?.id ?? ''
  const token = await client.call('workspace_tokens_create', { params: { id: workspace_id }, body: {} })
  const planted = [
    key,
    answer.data.key,
    token.data.token,
    'a long password for tests',
    'PRIVATE KEY',
    master.setup_token ?? '-',
  ]
  await master.running.stop()
  const copy = newFolder()
  mkdirSync(copy, { mode: 0o700 })
  const taken = readdirSync(data_dir).filter(name => name.startsWith('master.db'))
  expect(taken.length).toBeGreaterThan(0)
  for (const name of taken) {
    const bytes = readFileSync(join(data_dir, name))
    for (const secret of planted)
      expect([name, secret, bytes.includes(secret)]).toEqual([name, secret, false])
    writeFileSync(join(copy, name), bytes, { mode: 0o600 })
  }
  await expect(start(['--data-dir', copy])).rejects.toThrow('Put it back; a new key cannot open them')
})
