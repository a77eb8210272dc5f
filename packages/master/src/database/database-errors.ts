/** There was a database, and now there is an empty one in its place: to go on would re-open set-up to anyone who comes first. */
export class DatabaseLostError extends Error {
  override readonly name = 'DatabaseLostError'
  /** `what` names the database without its password; `how` says what is wrong with it. */
  constructor(what: string, how: string) {
    super(
      `${what} ${how}, but the data folder shows that this master had a database with data in it. Nothing was changed. ` +
        'Restore the backup of the database, or mend database.url if it names the wrong one. ' +
        'To start anew, without the organizations, agents and secrets there were, move the data folder away.',
    )
  }
}

/** PostgreSQL did not let the master in, or is not there; or a database file cannot be made. */
export class DatabaseUnreachableError extends Error {
  override readonly name = 'DatabaseUnreachableError'
  /** `what` names the database without its password. Not the driver's error itself: it may hold the connection's settings. */
  constructor(what: string, cause: unknown, advice = REACH) {
    const { code, message } = cause as { code?: unknown; message?: unknown }
    const detail = [code, message].filter(one => typeof one === 'string' && one !== '').join(': ')
    super(`${what} cannot be used (${detail || 'no answer'}). ${advice}`)
  }
}

const REACH = 'Check that it runs and that database.url names the right host, database, user and password.'

/** A command works on a database that is there; it makes none. */
export class DatabaseMissingError extends Error {
  override readonly name = 'DatabaseMissingError'
  constructor(what: string, how: string, cause?: unknown) {
    super(
      `${what} ${how}. Give the command the settings that the master runs with (--config, --data-dir, --database-url or its file).`,
      { cause },
    )
  }
}

/** The file is no database, or parts of it are gone or wrong. */
export class DatabaseDamagedError extends Error {
  override readonly name = 'DatabaseDamagedError'
  constructor(file: string, detail: string, cause?: unknown) {
    super(
      `The database ${file} is damaged (${detail}). Keep a copy of it and of the files beside it, then restore the last backup.`,
      { cause },
    )
  }
}

/** Damage that was met anywhere, in words; every other error as it is. `url` is `database.url`. */
export function inWords(error: unknown, url: string): unknown {
  if (!isDamage(error) || !url.startsWith(SQLITE)) return error
  return new DatabaseDamagedError(url.slice(SQLITE.length), (error as Error).message, error)
}

const SQLITE = 'sqlite:'

/** What SQLite says of a file that it cannot make sense of (https://sqlite.org/rescode.html). */
function isDamage(error: unknown): boolean {
  const code = String((error as { code?: unknown } | null)?.code)
  return /^SQLITE_(NOTADB|CORRUPT|IOERR_SHORT_READ)/.test(code)
}
