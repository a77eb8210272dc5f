import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { openSqlite, openSqliteForMigration } from './sqlite.ts'

/**
 * Opens and migrates the database that `url` names: `sqlite:<absolute path>`, `postgres://…` or `postgresql://…`.
 * Throws `DatabaseTooNewError` when a newer master wrote it.
 */
export async function openDatabase(url: string, onLost: (error: Error) => void): Promise<Database> {
  if (url.startsWith('sqlite:')) return await openMigratedSqlite(url.slice('sqlite:'.length))
  if (/^postgres(ql)?:\/\//.test(url)) return await openMigratedPostgres(url, onLost)
  throw new Error('database.url must begin with sqlite:, postgres:// or postgresql://')
}

async function openMigratedSqlite(file: string): Promise<Database> {
  const migrating = openSqliteForMigration(file)
  try {
    await migrate(migrating)
  } finally {
    await migrating.destroy()
  }
  return openSqlite(file)
}

// PostgreSQL's driver loads only where it is used: the default master starts without it.
async function openMigratedPostgres(url: string, onLost: (error: Error) => void): Promise<Database> {
  const { connectPostgres, openPostgres } = await import('./postgres.ts')
  const migrating = connectPostgres<unknown>(url, onLost)
  try {
    await migrate(migrating)
  } finally {
    await migrating.destroy()
  }
  return openPostgres(url, onLost)
}
