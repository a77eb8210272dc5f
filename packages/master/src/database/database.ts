import type { Kysely, Transaction } from 'kysely'
import type { Tables } from './tables.ts'

export type Tx = Transaction<Tables>
export type Reader = Kysely<Tables>
/** What a store's reading functions take: they work inside and outside a transaction. */
export type Queryable = Reader | Tx

/**
 * The state of the master. Two engines, one interface: SQLite (one writer behind a mutex, separate read connections) and
 * PostgreSQL. Stores get a `Tx` passed in and never open one.
 */
export interface Database {
  readonly engine: 'sqlite' | 'postgresql'
  /** For reading outside a transaction; sees everything that was committed before the call. */
  readonly read: Reader
  /**
   * Runs `work` in one transaction, durable when the promise resolves, rolled back when `work` throws. No I/O other than
   * the database's in it. A serialization failure is retried, so `work` may run more than once.
   */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** `write` of a database that was opened to be read. */
export const refuseToWrite: Database['write'] = async () => {
  throw new Error('This database was opened to be read only')
}
