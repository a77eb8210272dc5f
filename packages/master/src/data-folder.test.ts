import { afterAll, afterEach, expect, test } from 'bun:test'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import pino from 'pino'
import { loadConfig } from './config.ts'
import { DatabaseUnreachableError } from './database/database-errors.ts'
import { allowForBusyMachines } from './database/testing.ts'
import { sharedCluster } from './database/testing-postgres.ts'
import { MASTER_LIMITS } from './limits.ts'
import { type RunningMaster, startMaster } from './main.ts'
import { until } from './testing-until.ts'

allowForBusyMachines()
const root = mkdtempSync(join(tmpdir(), 'nxmesh-folder-'))
afterAll(() => rmSync(root, { recursive: true }))
const running: RunningMaster[] = []
afterEach(async () => {
  for (const master of running.splice(0)) await master.stop()
})

let folders = 0
const newFolder = () => join(root, `data-${++folders}`)

async function start(data_dir: string, flags: Record<string, string> = {}, logged: string[] = []) {
  const config = await loadConfig({ flags: { 'data-dir': data_dir, listen: '127.0.0.1:0', ...flags } })
  const log = pino({}, { write: (line: string) => void logged.push(line) })
  const master = await startMaster(config, { log })
  running.push(master)
  return master
}

/** A folder in which a master ran once and stopped in order. */
async function usedFolder(flags: Record<string, string> = {}): Promise<string> {
  const data_dir = newFolder()
  await (await start(data_dir, flags)).stop()
  return data_dir
}

const LOST = 'the data folder shows that this master had a database'

test('a lost database does not re-open set-up: each start is refused, and nothing is made in its place', async () => {
  const data_dir = await usedFolder()
  for (const name of readdirSync(data_dir).filter(one => one.startsWith('master.db')))
    rmSync(join(data_dir, name))
  for (let n = 0; n < 2; n++) await expect(start(data_dir)).rejects.toThrow(`does not exist, but ${LOST}`)
  expect(existsSync(join(data_dir, 'master.db'))).toBe(false)
})

test('an emptied database is refused, and the log of its last writes beside it is not thrown away', async () => {
  const data_dir = await usedFolder()
  truncateSync(join(data_dir, 'master.db'))
  writeFileSync(join(data_dir, 'master.db-wal'), 'what may still be saved', { mode: 0o600 })
  await expect(start(data_dir)).rejects.toThrow(`is empty, but ${LOST}`)
  expect(readFileSync(join(data_dir, 'master.db-wal'), 'latin1')).toBe('what may still be saved')
})

test('a folder from before the marker is known by its CA, and gets the marker at its next start', async () => {
  const data_dir = await usedFolder()
  rmSync(join(data_dir, 'initialized'))
  rmSync(join(data_dir, 'master.db'))
  await expect(start(data_dir)).rejects.toThrow(LOST)
  rmSync(join(data_dir, 'tls'), { recursive: true })
  await start(data_dir)
  expect(existsSync(join(data_dir, 'initialized'))).toBe(true)
})

test('a first start that was cut short is no loss: the next one starts', async () => {
  const data_dir = newFolder()
  mkdirSync(data_dir, { mode: 0o700 })
  writeFileSync(join(data_dir, 'master.db'), '', { mode: 0o600 })
  writeFileSync(join(data_dir, 'master.key'), Buffer.alloc(32, 1).toString('base64'), { mode: 0o600 })
  expect((await start(data_dir)).setup_token).not.toBeNull()
})

test('a fresh PostgreSQL database under a folder that had data is refused, with the names but not the password', async () => {
  const cluster = await sharedCluster()
  const names = ['first', 'second'].map(one => `${one}_${crypto.randomUUID().replaceAll('-', '')}`)
  for (const name of names) await cluster.admin(`create database ${name}`)
  const [first = '', second = ''] = names
  const data_dir = await usedFolder({ 'database-url': cluster.url(first) })
  const other = start(data_dir, { 'database-url': cluster.url(second) })
  await expect(other).rejects.toThrow(`The PostgreSQL database ${second}`)
  await expect(other).rejects.toThrow(LOST)
  await (await start(data_dir, { 'database-url': cluster.url(first) })).stop()
  for (const name of names) await cluster.admin(`drop database ${name} with (force)`)
})

test('a folder or database that others can read or change is refused, with the command that mends it', async () => {
  const data_dir = await usedFolder()
  for (const mode of [0o777, 0o755, 0o750, 0o720]) {
    chmodSync(data_dir, mode)
    await expect(start(data_dir)).rejects.toThrow(`(mode ${mode.toString(8)}). Run: chmod 700 ${data_dir}`)
  }
  chmodSync(data_dir, 0o700)
  for (const name of ['master.db', 'master.key']) {
    const file = join(data_dir, name)
    chmodSync(file, 0o666)
    await expect(start(data_dir)).rejects.toThrow(`(mode 666). Run: chmod 600 ${file}`)
    chmodSync(file, 0o600)
  }
  await start(data_dir)
})

test('a data folder that cannot be made is told in words, with what to do', async () => {
  const file = newFolder()
  writeFileSync(file, '')
  const data_dir = join(file, 'data')
  await expect(start(data_dir)).rejects.toThrow(
    `The data folder ${data_dir} cannot be used (ENOTDIR). Make it`,
  )
})

test('a database file whose folder is not there is told in words, with what to do', async () => {
  const url = `sqlite:${join(root, 'nowhere', 'x.db')}`
  const found = await start(newFolder(), { 'database-url': url }).catch(error => error)
  expect(found).toBeInstanceOf(DatabaseUnreachableError)
  expect(found.message).toContain('Its folder must be there')
})

const damages: [string, (file: string) => void][] = [
  ['junk', file => writeFileSync(file, 'this is no database. '.repeat(500))],
  ['a head without its body', file => truncateSync(file, 4_096)],
  ['half of itself', file => truncateSync(file, Math.floor(statSync(file).size / 8_192) * 4_096)],
  ['a few bytes', file => truncateSync(file, 40)],
  ['its pages overwritten', file => scribble(file)],
]

/** Everything but the first page. */
function scribble(file: string): void {
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.fill(0x5a, 4_096))
}

test.each(damages)('a database that is %s is told in words, at once', async (_what, damage) => {
  const data_dir = await usedFolder()
  const file = join(data_dir, 'master.db')
  damage(file)
  await expect(start(data_dir)).rejects.toThrow(`The database ${file} is damaged (`)
})

test('damage where a start does not read is found at the start', async () => {
  const data_dir = newFolder()
  await withBallast(data_dir, 1_000_000)
  damageTheEnd(data_dir)
  await expect(start(data_dir)).rejects.toThrow('master.db is damaged (')
})

test('damage that a start meets on its way is told in words, also in a large database', async () => {
  const data_dir = newFolder()
  const root_page = await withBallast(data_dir, MASTER_LIMITS.sqlite_check_at_start_bytes + 1_000_000)
  const file = join(data_dir, 'master.db')
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.fill(0x5a, (root_page - 1) * 4_096, root_page * 4_096))
  await expect(start(data_dir)).rejects.toThrow(`The database ${file} is damaged (`)
})

test('a large database is looked through while it serves: damage is logged, and the master is not ready', async () => {
  const data_dir = newFolder()
  await withBallast(data_dir, MASTER_LIMITS.sqlite_check_at_start_bytes + 1_000_000)
  const logged: string[] = []
  const whole = await start(data_dir, {}, logged)
  expect((await readiness(whole)).status).toBe(200)
  await whole.stop()

  damageTheEnd(data_dir)
  const damaged = await start(data_dir, {}, logged)
  await until('the damage to be found', async () => (await readiness(damaged)).status === 503)
  expect(logged.filter(line => line.includes('is damaged (')).length).toBe(1)
})

const readiness = (master: RunningMaster) =>
  fetch(`${master.url}/readyz`, { tls: { ca: master.ca_pem } } as RequestInit)

/** A master ran here, and its database ends with pages that nothing reads. Returns the first page of the table of facts. */
async function withBallast(data_dir: string, size_bytes: number): Promise<number> {
  const master = await start(data_dir)
  const ballast = { key: 'ballast', value: 'x'.repeat(size_bytes) }
  await master.services.db.write(tx => tx.insertInto('instance_facts').values(ballast).execute())
  const query = sql<{ rootpage: number }>`select rootpage from sqlite_master where name = 'instance_facts'`
  const { rows } = await query.execute(master.services.db.read)
  await master.stop()
  return rows[0]?.rootpage ?? 0
}

function damageTheEnd(data_dir: string): void {
  const file = join(data_dir, 'master.db')
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.fill(0x5a, bytes.byteLength - 8_192))
}
