import { statSync } from 'node:fs'
import { type Kysely, sql } from 'kysely'
import { MASTER_LIMITS } from '../limits.ts'
import { DatabaseDamagedError } from './database-errors.ts'

/** In the order of its pages, without comparing indexes with tables (https://sqlite.org/pragma.html#pragma_quick_check). */
const CHECK = 'PRAGMA quick_check(1)'

/** How large a file is with its WAL; 0 when it is not there. */
function sqliteBytes(file: string): number {
  const sizes = [file, `${file}-wal`].map(one => statSync(one, { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Small enough to be looked through at each start: a millisecond or two for a MiB. */
const isSmall = (file: string) => sqliteBytes(file) <= MASTER_LIMITS.sqlite_check_at_start_bytes

/** Looks a small file through. Throws `DatabaseDamagedError`. */
export async function checkSmall(file: string, db: Kysely<unknown>): Promise<void> {
  if (!isSmall(file)) return
  const { rows } = await sql<{ quick_check: string }>`${sql.raw(CHECK)}`.execute(db)
  const found = rows[0]?.quick_check ?? 'the check says nothing'
  if (found !== 'ok') throw new DatabaseDamagedError(file, found)
}

/** What is known of a database that is looked through while it serves. */
export interface Integrity {
  damaged(): boolean
  stop(): void
}

/**
 * Looks a large file through beside the work, once, in a thread: it takes seconds for a GiB. `onDamaged` hears of damage,
 * `onFailed` when it could not be looked through. Does nothing for what `checkSmall` has seen, nor for another engine.
 */
export function checkLarge(
  url: string,
  onDamaged: (error: DatabaseDamagedError) => void,
  onFailed: (error: unknown) => void,
): Integrity {
  let damaged = false
  const file = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : null
  if (file === null || isSmall(file)) return { damaged: () => damaged, stop: () => undefined }
  // From a text: a compiled executable needs no second file for it.
  const source = URL.createObjectURL(new Blob([WORKER], { type: 'application/javascript' }))
  const worker = new Worker(source)
  const end = () => {
    worker.terminate()
    URL.revokeObjectURL(source)
  }
  worker.onmessage = ({ data }: MessageEvent<Found>) => {
    end()
    if (data.failed !== undefined) return onFailed(new Error(data.failed))
    if (data.found === 'ok') return
    damaged = true
    onDamaged(new DatabaseDamagedError(file, String(data.found)))
  }
  worker.onerror = event => {
    end()
    onFailed(new Error(event.message))
  }
  worker.postMessage(file)
  return { damaged: () => damaged, stop: end }
}

interface Found {
  readonly found?: string
  readonly failed?: string
}

/** SQLite may also fail with the damage itself, while it reads. */
const WORKER = `
import { Database } from 'bun:sqlite'
self.onmessage = ({ data: file }) => {
  let db
  try {
    db = new Database(file)
    db.run('PRAGMA query_only = ON')
    db.run('PRAGMA busy_timeout = ${MASTER_LIMITS.sqlite_busy_ms}')
    self.postMessage({ found: db.query('${CHECK}').values()[0]?.[0] })
  } catch (error) {
    const damage = /^SQLITE_(NOTADB|CORRUPT)/.test(String(error.code))
    self.postMessage(damage ? { found: error.message } : { failed: String(error.message) })
  } finally {
    db?.close()
  }
}`
