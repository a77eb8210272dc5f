import { Database as Connection, type SQLQueryBindings, type Statement } from 'bun:sqlite'
import { closeSync, existsSync, openSync } from 'node:fs'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  Kysely,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type SqliteStatement,
} from 'kysely'
import { MASTER_LIMITS } from '../limits.ts'
import { withHooks } from './after-commit.ts'
import { type Database, refuseToWrite, type Tx } from './database.ts'
import { DatabaseUnreachableError } from './database-errors.ts'
import type { Tables } from './tables.ts'
import { WriteQueue } from './write-queue.ts'

/**
 * SQLite in WAL mode: one connection writes, one at a time, another reads what is committed. With a single shared
 * connection a request's write could vanish in the rollback of another's. `synchronous=FULL`: a commit survives a power cut.
 */
export function openSqlite(file: string): Database {
  makeFile(file)
  const write_connection = connect(file, ['journal_mode = WAL', 'synchronous = FULL', 'foreign_keys = ON'])
  const read_connection = connect(file, ['query_only = ON'])
  const writer = new Kysely<Tables>({ dialect: new BunSqliteDialect(write_connection) })
  const read = new Kysely<Tables>({ dialect: new BunSqliteDialect(read_connection) })
  const queue = new WriteQueue()
  return {
    engine: 'sqlite',
    read,
    write: <T>(work: (tx: Tx) => Promise<T>) =>
      queue.run(() => withHooks(one => writer.transaction().execute(one), work)),
    close: async () => {
      // The reader first: the last connection to close folds the WAL into the database file.
      await read.destroy()
      await writer.destroy()
      closeQuietly(read_connection)
      closeQuietly(write_connection)
    },
  }
}

/** For a command that only looks, beside a running master: it cannot write, whatever it is asked. */
export function openSqliteToRead(file: string): Database {
  const connection = new Connection(file, { readonly: true })
  connection.run(`PRAGMA busy_timeout = ${MASTER_LIMITS.sqlite_busy_ms}`)
  const read = new Kysely<Tables>({ dialect: new BunSqliteDialect(connection) })
  return {
    engine: 'sqlite',
    read,
    write: refuseToWrite,
    close: async () => {
      await read.destroy()
      closeQuietly(connection)
    },
  }
}

/** The connection for migrations: outside the queue, before anyone else reads or writes. */
export function openSqliteForMigration(file: string): Kysely<unknown> {
  makeFile(file)
  return new Kysely({
    dialect: new BunSqliteDialect(connect(file, ['journal_mode = WAL', 'synchronous = FULL'])),
  })
}

/**
 * Made here, so that the file and those that SQLite puts beside it are nobody else's to read. One that exists is not
 * opened: closing any descriptor of a file drops the locks that this process has on it (POSIX, fcntl).
 */
function makeFile(file: string): void {
  if (existsSync(file)) return
  try {
    closeSync(openSync(file, 'a', 0o600))
  } catch (error) {
    const advice = 'Its folder must be there and writable for the master: make it, or mend database.url.'
    throw new DatabaseUnreachableError(`The database ${file}`, error, advice)
  }
}

function connect(file: string, pragmas: readonly string[]): Connection {
  const connection = new Connection(file)
  connection.run(`PRAGMA busy_timeout = ${MASTER_LIMITS.sqlite_busy_ms}`)
  for (const pragma of pragmas) connection.run(`PRAGMA ${pragma}`)
  connection.run(`PRAGMA journal_size_limit = ${MASTER_LIMITS.sqlite_wal_keep_bytes}`)
  return connection
}

/** Kysely closes a connection only if it was used. */
function closeQuietly(connection: Connection): void {
  connection.close()
}

class BunSqliteDialect implements Dialect {
  readonly #connection: Connection
  constructor(connection: Connection) {
    this.#connection = connection
  }
  createAdapter = () => new TransactionalAdapter()
  createDriver = () => new ImmediateDriver({ database: new CachingDatabase(this.#connection) })
  createIntrospector = (db: Kysely<unknown>) => new SqliteIntrospector(db)
  createQueryCompiler = () => new SqliteQueryCompiler()
}

/** SQLite does roll tables back (https://sqlite.org/lang_transaction.html): a migration that was cut short leaves nothing. */
class TransactionalAdapter extends SqliteAdapter {
  /**
   * Kysely's own lock around the one connection is not needed: a query runs in one step, and transactions follow each other in
   * the write queue. With it, each of n waiting queries wakes all others: 10,000 at once took a minute.
   */
  override get supportsMultipleConnections() {
    return true
  }
  override get supportsTransactionalDdl() {
    return true
  }
}

/** Takes the write lock at once: a transaction that reads first and writes later cannot fail half-way. */
class ImmediateDriver extends SqliteDriver {
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }
}

/** Prepares each statement once, keeping the ones used last. */
class CachingDatabase implements SqliteDatabase {
  readonly #connection: Connection
  readonly #statements = new Map<string, PreparedStatement>()
  constructor(connection: Connection) {
    this.#connection = connection
  }

  prepare(sql: string): SqliteStatement {
    const known = this.#statements.get(sql)
    if (known) this.#statements.delete(sql)
    const statement = known ?? new PreparedStatement(this.#connection.prepare(sql))
    this.#statements.set(sql, statement)
    if (this.#statements.size > MASTER_LIMITS.statements_cached) this.#dropOldest()
    return statement
  }

  #dropOldest(): void {
    for (const [sql, statement] of this.#statements) {
      this.#statements.delete(sql)
      statement.finalize()
      return
    }
  }

  close(): void {
    for (const statement of this.#statements.values()) statement.finalize()
    this.#statements.clear()
    this.#connection.close()
  }
}

type Bindings = SQLQueryBindings[]

class PreparedStatement implements SqliteStatement {
  readonly reader: boolean
  readonly #statement: Statement<unknown, Bindings>
  constructor(statement: Statement<unknown, Bindings>) {
    this.#statement = statement
    this.reader = statement.columnNames.length > 0
  }
  all(parameters: readonly unknown[]): unknown[] {
    return this.#statement.all(...(parameters as Bindings))
  }
  run(parameters: readonly unknown[]) {
    return this.#statement.run(...(parameters as Bindings))
  }
  iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    return this.#statement.iterate(...(parameters as Bindings))
  }
  finalize(): void {
    this.#statement.finalize()
  }
}
