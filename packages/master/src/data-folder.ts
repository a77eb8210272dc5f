import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { requirePrivate, writeFileDurably } from './files.ts'

export interface DataFolder {
  /** Whether a master with this folder ever had a database that it could serve from. */
  readonly had_data: boolean
  /** Remembers that it has one. Only after the database is durable: a first start that is cut short must not look like a loss. */
  markUsed(now: Date): void
}

/** The data folder cannot be made, or this master's user may not write in it. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError'
}

/**
 * The data folder, made if it is not there. Throws `DataFolderError` when it cannot be used, `FileModeError` when others can read or change it. What it shows of a
 * database: the marker, and the CA that a master wrote after it had stored it in its database.
 */
export function openDataFolder(data_dir: string): DataFolder {
  makeUsable(data_dir)
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

function makeUsable(data_dir: string): void {
  try {
    mkdirSync(data_dir, { recursive: true, mode: 0o700 })
    accessSync(data_dir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    throw new DataFolderError(
      `The data folder ${data_dir} cannot be used (${code}). ` +
        'Make it for the user that the master runs as, with mode 700, or choose another data_dir.',
    )
  }
}

const TEXT = 'The master of this folder has a database, and does not start with an empty one. Since: '
