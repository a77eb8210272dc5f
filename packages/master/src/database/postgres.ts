import { ApiError } from '@nxmesh/contract'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Pool, type PoolConfig, types } from 'pg'
import { MASTER_LIMITS } from '../limits.ts'
import { withHooks } from './after-commit.ts'
import { type Database, refuseToWrite, type Tx } from './database.ts'
import type { Tables } from './tables.ts'
import { WriteQueue } from './write-queue.ts'

/** Names the lock under which every master of one database writes ("nxmesh" in ASCII, its first four bytes). */
const WRITE_LOCK = 0x6e786d65
const INT8_OID = 20
/** serialization_failure and deadlock_detected: the same transaction may succeed when repeated. */
const RETRIED = new Set(['40001', '40P01'])

/**
 * PostgreSQL with the guarantees of the embedded engine: write transactions run one at a time, here by a queue and between
 * masters by an advisory lock, and READ COMMITTED then shows each the result of all before it. Reads never wait for them.
 * `onLost` hears of idle connections that broke; the pool replaces them.
 */
export function openPostgres(url: string, onLost: (error: Error) => void): Database {
  const read = connectPostgres<Tables>(url, onLost)
  const queue = new WriteQueue()
  const once = <T>(work: (tx: Tx) => Promise<T>) =>
    read
      .transaction()
      .setIsolationLevel('read committed')
      .execute(async tx => {
        await sql`select pg_advisory_xact_lock(${sql.lit(WRITE_LOCK)})`.execute(tx)
        return await work(tx)
      })
  return {
    engine: 'postgresql',
    read,
    write: work => queue.run(() => withHooks(one => retried(() => once(one)), work)),
    close: () => read.destroy(),
  }
}

/** For a command that only looks: the server refuses every change in these sessions. */
export function openPostgresToRead(url: string, onLost: (error: Error) => void): Database {
  const read = connectPostgres<Tables>(url, onLost, { options: '-c default_transaction_read_only=on' })
  return { engine: 'postgresql', read, write: refuseToWrite, close: () => read.destroy() }
}

export function connectPostgres<T>(
  url: string,
  onLost: (error: Error) => void,
  more: PoolConfig = {},
): Kysely<T> {
  const pool = new Pool({ ...poolConfig(url), ...more })
  pool.on('error', onLost)
  return new Kysely<T>({ dialect: new PostgresDialect({ pool }) })
}

function poolConfig(url: string): PoolConfig {
  return {
    connectionString: url,
    application_name: 'nxmesh-master',
    max: MASTER_LIMITS.postgres_connections,
    connectionTimeoutMillis: MASTER_LIMITS.postgres_connect_ms,
    statement_timeout: MASTER_LIMITS.postgres_statement_ms,
    idle_in_transaction_session_timeout: MASTER_LIMITS.postgres_idle_in_transaction_ms,
    // count() is a 64-bit integer, which pg hands out as text; ours are all far below 2^53.
    types: { getTypeParser: (oid, format) => (oid === INT8_OID ? Number : types.getTypeParser(oid, format)) },
  }
}

async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      if (!RETRIED.has(String((error as { code?: unknown }).code))) throw error
      if (tries >= MASTER_LIMITS.write_attempts) {
        throw new ApiError('UNAVAILABLE', 'The database is busy; nothing was changed.', {
          cause: error,
          retry_after_s: 2,
        })
      }
      const longest_ms = Math.min(MASTER_LIMITS.write_retry_max_ms, 5 * 2 ** tries)
      await new Promise(resolve => setTimeout(resolve, Math.random() * longest_ms))
    }
  }
}
