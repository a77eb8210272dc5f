import { type Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { MIGRATIONS } from './migrations/index.ts'

/** The database was written by a newer master than this one. */
export class DatabaseTooNewError extends Error {
  constructor(unknown_migration: string) {
    super(
      `The database is newer than this master: it holds the migration "${unknown_migration}", which this version does not know. ` +
        'Start the newer nxmesh, or restore a backup that this version made.',
    )
    this.name = 'DatabaseTooNewError'
  }
}

/** A command met a database that no master of this version has started with. */
export class DatabaseTooOldError extends Error {
  override readonly name = 'DatabaseTooOldError'
  constructor() {
    super(
      'The database is older than this nxmesh. Start the master of this version once, which brings it up to date; then run the command again.',
    )
  }
}

/** Called with no migration done yet, before anything is written; throws where that must not be. */
export type OnFresh = () => void

/**
 * Brings a database to this master's schema, each migration in a transaction. Does nothing but one read when it is there
 * already, for a quick start.
 */
export async function migrate(
  db: Kysely<unknown>,
  migrations: Readonly<Record<string, Migration>> = MIGRATIONS,
  onFresh: OnFresh = () => undefined,
): Promise<void> {
  const done = await executedMigrations(db)
  const unknown_migration = done.find(name => !Object.hasOwn(migrations, name))
  if (done.length === 0) onFresh()
  if (unknown_migration) throw new DatabaseTooNewError(unknown_migration)
  if (done.length === Object.keys(migrations).length) return
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...migrations }) } })
  const { error, results } = await migrator.migrateToLatest()
  const failed = results?.find(one => one.status === 'Error')?.migrationName ?? 'to begin'
  if (error)
    throw new Error(`The database could not be migrated (${failed}); it is as it was before.`, {
      cause: error,
    })
}

/** For commands, which change no schema. Throws `DatabaseTooNewError` or `DatabaseTooOldError`. */
export async function requireMigrated(
  db: Kysely<unknown>,
  migrations: Readonly<Record<string, Migration>> = MIGRATIONS,
): Promise<void> {
  const done = await executedMigrations(db)
  const unknown_migration = done.find(name => !Object.hasOwn(migrations, name))
  if (unknown_migration) throw new DatabaseTooNewError(unknown_migration)
  if (done.length < Object.keys(migrations).length) throw new DatabaseTooOldError()
}

async function executedMigrations(db: Kysely<unknown>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some(table => table.name === 'kysely_migration')) return []
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)
  return rows.map(row => row.name)
}
