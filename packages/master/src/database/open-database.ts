import { statSync } from 'node:fs'
import { sql } from 'kysely'
import { requirePrivate } from '../files.ts'
import type { Database } from './database.ts'
import { DatabaseLostError, DatabaseUnreachableError } from './database-errors.ts'
import { checkSmall } from './integrity.ts'
import { migrate } from './migrate.ts'
import { openSqlite, openSqliteForMigration } from './sqlite.ts'

export interface OpenOptions {
  /** There was a database: an empty one in its place is refused before anything is written. */
  readonly had_data?: boolean
}

/**
 * Opens and migrates the database that `url` names: `sqlite:<absolute path>`, `postgres://…` or `postgresql://…`.
 * Throws `DatabaseUnreachableError`, `DatabaseTooNewError` when a newer master wrote it, `DatabaseLostError`, `DatabaseDamagedError` or SQLite's own word
 * for damage (`inWords`), and `FileModeError` when others may read the file.
 */
export async function openDatabase(
  url: string,
  onLost: (error: Error) => void,
  { had_data = false }: OpenOptions = {},
): Promise<Database> {
  if (url.startsWith('sqlite:')) return await openMigratedSqlite(url.slice('sqlite:'.length), had_data)
  if (/^postgres(ql)?:\/\//.test(url)) return await openMigratedPostgres(url, onLost, had_data)
  throw new Error('database.url must begin with sqlite:, postgres:// or postgresql://')
}

async function openMigratedSqlite(file: string, had_data: boolean): Promise<Database> {
  const what = `The database ${file}`
  for (const one of [file, `${file}-wal`, `${file}-shm`]) requirePrivate('The database file', one)
  // Before SQLite opens it: for an empty file it would throw the WAL beside it away.
  const size = statSync(file, { throwIfNoEntry: false })?.size
  if (had_data && !size) throw new DatabaseLostError(what, size === 0 ? 'is empty' : 'does not exist')
  const migrating = openSqliteForMigration(file)
  try {
    await checkSmall(file, migrating)
    await migrate(migrating, undefined, refuseFresh(what, had_data))
  } finally {
    await migrating.destroy()
  }
  return openSqlite(file)
}

const refuseFresh = (what: string, had_data: boolean) => () => {
  if (had_data) throw new DatabaseLostError(what, 'is empty')
}

// PostgreSQL's driver loads only where it is used: the default master starts without it.
async function openMigratedPostgres(
  url: string,
  onLost: (error: Error) => void,
  had_data: boolean,
): Promise<Database> {
  const { connectPostgres, openPostgres } = await import('./postgres.ts')
  const migrating = connectPostgres<unknown>(url, onLost)
  try {
    const what = `The PostgreSQL database ${databaseNameIn(url)}`
    await sql`select 1`.execute(migrating).catch(error => {
      throw new DatabaseUnreachableError(what, error)
    })
    await migrate(migrating, undefined, refuseFresh(what, had_data))
  } finally {
    await migrating.destroy()
  }
  return openPostgres(url, onLost)
}

/** Host and database, without user and password. */
export function databaseNameIn(url: string): string {
  if (!URL.canParse(url)) return 'of database.url'
  const { host, pathname, searchParams } = new URL(url)
  return `${pathname.slice(1)} on ${host || (searchParams.get('host') ?? 'this machine')}`
}
