import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { loadConfig } from '../config.ts'
import { makeLog } from '../log.ts'
import { startMaster } from '../main.ts'
import { until } from '../testing-until.ts'
import { DatabaseUnreachableError } from './database-errors.ts'
import { allowForBusyMachines, makeTestUrl } from './testing.ts'

/** The password of database.url is used, and stands nowhere else. */

allowForBusyMachines()
const root = mkdtempSync(join(tmpdir(), 'nxmesh-dbpass-'))
afterAll(() => rmSync(root, { recursive: true }))

const PASSWORD = 'streng%2Dgeheim'
const SPELLINGS = [PASSWORD, decodeURIComponent(PASSWORD)]

let folders = 0
async function run(database_url: string) {
  const data_dir = join(root, `data-${++folders}`)
  const logged: string[] = []
  const log = makeLog('trace', { write: (line: string) => void logged.push(line) })
  const flags = { 'data-dir': data_dir, listen: '127.0.0.1:0', 'database-url': database_url }
  const master = await startMaster(await loadConfig({ flags }), { log })
  return { master, logged, data_dir }
}

const expectSecret = (text: string) => {
  for (const spelling of SPELLINGS) expect(text).not.toContain(spelling)
}

/** A server that asks for the password and then refuses it, as PostgreSQL does. */
async function refusingServer() {
  const packet = (type: string, body: string) => {
    const bytes = Buffer.alloc(5 + body.length)
    bytes.write(type, 0, 'latin1')
    bytes.writeInt32BE(4 + body.length, 1)
    bytes.write(body, 5, 'latin1')
    return bytes
  }
  const received: string[] = []
  const server = createServer((socket: Socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      socket.write(packet('R', '\0\0\0\x03'))
      socket.once('data', password => {
        received.push(password.toString('latin1'))
        socket.end(packet('E', 'SFATAL\0C28P01\0Mpassword authentication failed for user "u"\0\0'))
      })
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as { port: number }).port, received, close: () => server.close() }
}

test('a PostgreSQL that refuses or is not there is named with what to do, and without the password', async () => {
  const refusing = await refusingServer()
  const cases = [
    [`postgresql://u:${PASSWORD}@127.0.0.1:${refusing.port}/nx`, 'password authentication failed'],
    [`postgresql://u:${PASSWORD}@127.0.0.1:1/nx`, 'ECONNREFUSED'],
    [`postgresql://u:${PASSWORD}@127.0.0.1:99999/nx`, 'cannot be used'],
    [`postgresql://u:${PASSWORD}@localhost/nx?host=${root}/nowhere`, 'ENOENT'],
  ]
  for (const [url = '', why = ''] of cases) {
    const error = await run(url).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(DatabaseUnreachableError)
    expect(String(error)).toContain(why)
    expect(String(error)).toContain('database.url')
    expectSecret(Bun.inspect(error) + (error as Error).stack + JSON.stringify(error))
  }
  // It was used.
  expect(refusing.received.join()).toContain('streng-geheim')
  refusing.close()
})

test('a connection that is lost is logged without the password, and nothing of it is stored', async () => {
  const database = await makeTestUrl('postgresql')
  const url = database.url.replace('nxmesh@', `nxmesh:${PASSWORD}@`)
  const { master, logged, data_dir } = await run(url)
  const { read } = master.services.db
  const mine = sql`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and state = 'idle'`
  await until('the loss in the log', async () => {
    await Promise.all([sql`select pg_sleep(0.05)`.execute(read), sql`select 1`.execute(read)])
    await mine.execute(read)
    return logged.some(line => line.includes('A database connection was lost'))
  })
  const tables = await sql<{ name: string }>`select table_name as name from information_schema.tables
    where table_schema = 'public'`.execute(read)
  expect(tables.rows.length).toBeGreaterThan(10)
  for (const { name } of tables.rows)
    expectSecret(JSON.stringify((await sql`select * from ${sql.table(name)}`.execute(read)).rows))
  await master.stop()
  expectSecret(logged.join('\n'))
  // A line is for a person: not the driver's connection with all that it holds.
  for (const line of logged) expect(line.length).toBeLessThan(4_000)
  for (const name of readdirSync(data_dir, { recursive: true }) as string[]) {
    const path = join(data_dir, name)
    if (statSync(path).isFile()) expectSecret(readFileSync(path, 'latin1'))
  }
  await database.drop()
})
