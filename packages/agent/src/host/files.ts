import { createHash, randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Every touch of the disk. All paths are absolute; errors are Node's own, with `code`. */

export const PRIVATE_FILE_MODE = 0o600
export const PRIVATE_FOLDER_MODE = 0o700

/** The text of a file, or null when there is none. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Durable and whole or not at all: temporary file beside it, fsync, rename, fsync of the folder. */
export function writeAtomic(path: string, text: string, mode = PRIVATE_FILE_MODE): void {
  const folder = dirname(path)
  const temporary = join(folder, `.${randomBytes(9).toString('hex')}.tmp`)
  try {
    writeExclusive(temporary, text, mode, true)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncFolder(folder)
}

/** Creates a file that must not exist yet (a symlink there is refused as well). */
export function writeExclusive(path: string, text: string, mode: number, durable: boolean): void {
  const file = openSync(path, 'wx', mode)
  try {
    writeFileSync(file, text)
    fchmodSync(file, mode)
    if (durable) fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Makes what a folder lists (new names, renames) durable. */
export function syncFolder(path: string): void {
  syncPath(path)
}

/** Makes a file's content, or a folder's list, durable. */
function syncPath(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/**
 * Makes many paths durable at once. Off the main thread and side by side, so that the file system puts them into few commits
 * of its journal instead of one after another.
 */
export async function syncPaths(paths: readonly string[]): Promise<void> {
  const ended = await Promise.allSettled(paths.map(syncLater))
  for (const one of ended) if (one.status === 'rejected') throw one.reason
}

async function syncLater(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

export function makeFolder(path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode })
}

/** Fails with EEXIST when anything is there. */
export function makeNewFolder(path: string, mode: number): void {
  mkdirSync(path, { mode })
}

export function hardLink(from: string, to: string): void {
  linkSync(from, to)
}

export function renamePath(from: string, to: string): void {
  renameSync(from, to)
}

export function removeFile(path: string): void {
  rmSync(path, { force: true })
}

export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
}

export function exists(path: string): boolean {
  return existsSync(path)
}

/** Names in a folder; none when there is no folder. */
export function listFolder(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}

export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/** Where a symlink points to as it is written; null when there is nothing. @throws when it is something else */
export function readLink(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

/**
 * Points `link` at `target` in one atomic step. The temporary name is random and created exclusively, and rename replaces
 * a link instead of following it, so nothing that someone else put there is ever written through. Durable only after a sync
 * of the link's folder; what a power cut leaves before that is the link as it was.
 */
export function swapLink(link: string, target: string): void {
  const temporary = join(dirname(link), `${TEMPORARY_LINK_PREFIX}${randomBytes(9).toString('hex')}`)
  symlinkSync(target, temporary)
  try {
    renameSync(temporary, link)
  } catch (error) {
    unlinkSync(temporary)
    throw error
  }
}

export const TEMPORARY_LINK_PREFIX = '.current.'

export interface FileIdentity {
  readonly device: number
  readonly inode: number
  readonly size: number
  readonly modified_ms: number
}

export function identityOf(path: string): FileIdentity | null {
  try {
    const stat = statSync(path)
    return { device: stat.dev, inode: stat.ino, size: stat.size, modified_ms: stat.mtimeMs }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

/** The path with all symlinks resolved, or null when there is nothing. */
export function realPath(path: string): string | null {
  try {
    return realpathSync(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

/** Why a folder may not hold what nginx loads, or null: only its owner (us or root) may create names in it. */
export function whyUnsafeFolder(path: string): string | null {
  const stat = statSync(path)
  const uid = process.getuid?.() ?? 0
  if (stat.uid !== 0 && stat.uid !== uid) return `${path} belongs to another user (uid ${stat.uid})`
  if ((stat.mode & 0o022) !== 0)
    return `${path} can be written by others (mode ${(stat.mode & 0o777).toString(8)})`
  return null
}

/** Writes a file in place of another with that one's mode and owner; durable and atomic. */
export function replaceKeepingOwner(path: string, text: string): void {
  const stat = statSync(path)
  const temporary = join(dirname(path), `.${randomBytes(9).toString('hex')}.tmp`)
  try {
    writeExclusive(temporary, text, stat.mode & 0o777, true)
    chownSync(temporary, stat.uid, stat.gid)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncFolder(dirname(path))
}

export function isSymlink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink()
  } catch {
    return false
  }
}
