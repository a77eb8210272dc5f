import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { requirePrivate, writeFileDurably } from './files.ts'

export interface DataFolder {
  /** Whether a master with this folder ever had a database that it could serve from. */
  readonly had_data: boolean
  /** Remembers that it has one. Only after the database is durable: a first start that is cut short must not look like a loss. */
  markUsed(now: Date): void
}

/**
 * The data folder, made if it is not there. Throws `FileModeError` when others can read or change it. What it shows of a
 * database: the marker, and the CA that a master wrote after it had stored it in its database.
 */
export function openDataFolder(data_dir: string): DataFolder {
  mkdirSync(data_dir, { recursive: true, mode: 0o700 })
  requirePrivate('The data folder', data_dir, 0o700)
  const marker = join(data_dir, 'initialized')
  const marked = existsSync(marker)
  return {
    had_data: marked || existsSync(join(data_dir, 'tls', 'ca.pem')),
    markUsed(now) {
      if (!marked) writeFileDurably(marker, `${TEXT}${now.toISOString()}\n`)
    },
  }
}

const TEXT = 'The master of this folder has a database, and does not start with an empty one. Since: '
