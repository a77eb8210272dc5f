import { afterAll, beforeAll, describe, setDefaultTimeout } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from './database.ts'
import { openDatabase } from './open-database.ts'
import { sharedCluster, type TestCluster } from './testing-postgres.ts'

/** Opens a fresh, migrated, empty database. It is closed and deleted after the last test of the block. */
export type OpenTestDatabase = () => Promise<Database>

/**
 * Runs the same tests on both engines, each in a `describe` of its own:
 *
 *     forEachEngine((engine, open) => {
 *       test('…', async () => { const db = await open() … })
 *     })
 *
 * A fresh database takes about 20 ms on SQLite and 100 ms on PostgreSQL: one a file, in `beforeAll`, is usually enough.
 */
export function forEachEngine(tests: (engine: Database['engine'], open: OpenTestDatabase) => void): void {
  allowForBusyMachines()
  for (const engine of ['sqlite', 'postgresql'] as const) {
    describe(`on ${engine}`, () => {
      if (engine === 'postgresql') beforeAll(async () => void (await sharedCluster()))
      const endings: (() => Promise<void>)[] = []
      afterAll(async () => {
        for (const end of endings.splice(0)) await end()
      })
      tests(engine, async () => {
        const made = await makeTestUrl(engine)
        const db = await openDatabase(made.url, () => {})
        endings.push(async () => {
          await db.close()
          await made.drop()
        })
        return db
      })
    })
  }
}

const TEST_TIMEOUT_MS = 60_000

/** Starting PostgreSQL takes a second, and many where other tests use the machine. Call it at the top of a test file. */
export function allowForBusyMachines(): void {
  setDefaultTimeout(TEST_TIMEOUT_MS)
}

/** An empty database by its URL, for those who open it themselves. */
export interface TestUrl {
  readonly url: string
  /** After everyone closed it. */
  drop(): Promise<void>
}

export async function makeTestUrl(engine: Database['engine']): Promise<TestUrl> {
  return await (engine === 'sqlite' ? sqliteUrl() : postgresUrl())
}

async function sqliteUrl(): Promise<TestUrl> {
  const dir = mkdtempSync(join(tmpdir(), 'nxmesh-db-'))
  return {
    url: `sqlite:${join(dir, 'master.db')}`,
    drop: async () => rmSync(dir, { recursive: true, force: true }),
  }
}

async function postgresUrl(): Promise<TestUrl> {
  const cluster = await sharedCluster()
  const name = `t_${crypto.randomUUID().replaceAll('-', '')}`
  await cluster.admin(`create database ${name} template ${await migratedTemplate(cluster)}`)
  return { url: cluster.url(name), drop: () => cluster.admin(`drop database ${name} with (force)`) }
}

/** Copying a migrated database is quicker than migrating each one. */
function migratedTemplate(cluster: TestCluster): Promise<string> {
  const kept = globalThis as { nxmesh_test_template?: Promise<string> }
  kept.nxmesh_test_template ??= makeTemplate(cluster)
  return kept.nxmesh_test_template
}

async function makeTemplate(cluster: TestCluster): Promise<string> {
  const name = 'migrated'
  await cluster.admin(`create database ${name}`)
  const db = await openDatabase(cluster.url(name), () => {})
  await db.close()
  return name
}
