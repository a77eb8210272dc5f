import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Writes a file whole or not at all, durable on return: a temporary file beside it, fsync, rename, fsync of the folder.
 * `mode` is that of the new file; the default lets nobody else read it.
 */
export function writeFileDurably(path: string, content: string | Uint8Array, mode = 0o600): void {
  const temporary = `${path}.${process.pid}.tmp`
  rmSync(temporary, { force: true })
  // Exclusive: a link that someone else put there is not followed.
  const fd = openSync(temporary, 'wx', mode)
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    for (let done = 0; done < bytes.byteLength; ) done += writeSync(fd, bytes, done)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameDurably(temporary, path)
}

/** Puts a file in the place of another of the same folder, durable on return. */
export function renameDurably(from: string, to: string): void {
  renameSync(from, to)
  syncFolder(dirname(to))
}

/** Others on this machine can read or change what must be this master's alone. */
export class FileModeError extends Error {
  override readonly name = 'FileModeError'
}

/** What group and others may do: read or write. Passing through a folder tells and changes nothing. */
const OTHERS = 0o066

/** Throws `FileModeError` with the command that mends it; `what` names the thing. Nothing there is no error. */
export function requirePrivate(what: string, path: string, allowed: 0o600 | 0o700 = 0o600): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat || (stat.mode & OTHERS) === 0) return
  throw exposed(what, path, stat.mode, allowed)
}

export function exposed(what: string, path: string, mode: number, allowed: number): FileModeError {
  return new FileModeError(
    `${what} ${path} can be read or changed by other users of this machine (mode ${octal(mode)}). ` +
      `Run: chmod ${octal(allowed)} ${quoted(path)}`,
  )
}

const octal = (mode: number) => (mode & 0o777).toString(8)
const quoted = (path: string) => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`)

function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
