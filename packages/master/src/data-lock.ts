import { Database } from 'bun:sqlite'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileDurably } from './files.ts'

/** Another process uses the data folder. */
export class DataFolderInUseError extends Error {
  override readonly name = 'DataFolderInUseError'
}

/** Held here, so that no lock ends because nobody refers to it any more. */
const held = new Set<Database>()

/**
 * Takes a lock for this process; returns what gives it back, null when it is held by another.
 *
 * It is SQLite's exclusive lock on a file of its own, held as long as the process lives: the kernel drops it however
 * the process ends, nothing stale stays behind, child processes do not inherit it, and a second taker in the same
 * process is refused too.
 */
export function tryLock(file: string): (() => void) | null {
  // Never opened again: closing any descriptor of a file drops the process's locks on it (POSIX, fcntl).
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))
  const holder = new Database(file)
  try {
    holder.run('PRAGMA busy_timeout = 0')
    holder.run('BEGIN EXCLUSIVE')
  } catch (cause) {
    holder.close()
    if ((cause as { code?: unknown }).code !== 'SQLITE_BUSY') throw cause
    return null
  }
  held.add(holder)
  return () => {
    held.delete(holder)
    holder.close()
  }
}

/**
 * Takes the data folder for this process; returns what gives it back. Throws `DataFolderInUseError` naming the other's pid,
 * which lies beside the lock for the message only.
 */
export function lockDataFolder(data_dir: string): () => void {
  const pid_file = join(data_dir, 'lock.pid')
  const release = tryLock(join(data_dir, 'lock'))
  if (!release) {
    throw new DataFolderInUseError(
      `The data folder ${data_dir} is used by another master${pidText(pid_file)}. Stop it first, or choose another data_dir.`,
    )
  }
  writeFileDurably(pid_file, `${process.pid}\n`, 0o644)
  return release
}

function pidText(pid_file: string): string {
  try {
    return ` (process ${Number.parseInt(readFileSync(pid_file, 'utf8'), 10)})`
  } catch {
    // Taken a moment ago: its pid is not written yet.
    return ''
  }
}
