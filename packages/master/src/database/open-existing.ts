import { statSync } from 'node:fs'
import { requirePrivate } from '../files.ts'
import type { Database } from './database.ts'
import { DatabaseMissingError } from './database-errors.ts'
import { requireMigrated } from './migrate.ts'
import { databaseNameIn } from './open-database.ts'
import { openSqlite, openSqliteToRead } from './sqlite.ts'

/**
 * Opens a database that a master of this version made, for a command beside it: nothing is made, migrated or looked through.
 * With `to_read` nothing can be written either. Throws `DatabaseMissingError`, `DatabaseTooOldError`, `DatabaseTooNewError`,
 * `FileModeError`.
 */
export async function openExisting(url: string, { to_read }: { to_read: boolean }): Promise<Database> {
  const db = url.startsWith('sqlite:')
    ? existingSqlite(url.slice('sqlite:'.length), to_read)
    : await existingPostgres(url, to_read)
  try {
    await requireMigrated(db.read as never)
  } catch (error) {
    await db.close()
    throw unreachable(url, error)
  }
  return db
}

function existingSqlite(file: string, to_read: boolean): Database {
  const what = `The database ${file}`
  const size = statSync(file, { throwIfNoEntry: false })?.size
  if (!size) throw new DatabaseMissingError(what, size === 0 ? 'is empty' : 'does not exist')
  for (const one of [file, `${file}-wal`, `${file}-shm`]) requirePrivate('The database file', one)
  return to_read ? openSqliteToRead(file) : openSqlite(file)
}

async function existingPostgres(url: string, to_read: boolean): Promise<Database> {
  const { openPostgres, openPostgresToRead } = await import('./postgres.ts')
  // A connection that breaks fails the query that uses it.
  return (to_read ? openPostgresToRead : openPostgres)(url, () => undefined)
}

/** What a connection to PostgreSQL fails with: the network's word, or the server's (class 28 and 3D of its codes). */
function unreachable(url: string, error: unknown): unknown {
  const code = String((error as { code?: unknown } | null)?.code)
  if (url.startsWith('sqlite:') || !/^(E[A-Z]+|28\w{3}|3D\w{3})$/.test(code)) return error
  const why = (error as Error).message || code
  return new DatabaseMissingError(
    `The PostgreSQL database ${databaseNameIn(url)}`,
    `cannot be reached (${why})`,
    error,
  )
}
