import { existsSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { tryLock } from '../data-lock.ts'
import { renameDurably } from '../files.ts'
import { opensAll } from './data-keys.ts'
import {
  loadMasterKey,
  MasterKeyError,
  type MasterKeySource,
  masterKeyId,
  nameOfSource,
} from './master-key.ts'
import type { DataKeyRow } from './secrets-store.ts'

/** A new master key lies here until the database is wrapped under it; then it takes the place of the other. */
export const nextKeyFile = (file: string) => `${file}.next`

/** Who changes the key files holds it, so that nobody clears away what another is about to need. Null: another has it. */
export const lockKeyFile = (file: string) => tryLock(`${file}.lock`)

type ReadRows = () => Promise<readonly DataKeyRow[]>

const ATTEMPTS = 3

/**
 * The master key that opens the data keys, and these. A rotation that was cut short is ended first: the key in
 * `master.key.next` takes its place when it is the one, and goes when it is not. `locked`: the caller holds `lockKeyFile`.
 * Throws `MasterKeyError`, `FileModeError`.
 */
export async function loadOpeningKey(
  source: MasterKeySource,
  readRows: ReadRows,
  locked = false,
): Promise<{ master_key: Uint8Array; rows: readonly DataKeyRow[] }> {
  for (let attempt = 1; ; attempt++) {
    if (inFolder(source) && existsSync(nextKeyFile(source.file))) await settle(source, readRows, locked)
    const rows = await readRows()
    const keys = await candidates(source, rows.length === 0)
    const master_key = keys.find(key => opensAll(key, rows)) ?? keys[0]
    if (!master_key) throw new MasterKeyError(`${nameOfSource(source)} gave no key.`)
    // A rotation may have come between reading the one and the other.
    const torn = !opensAll(master_key, rows) && attempt < ATTEMPTS
    if (!torn || sameWraps(rows, await readRows())) return { master_key, rows }
  }
}

/** The key of this name, now; throws `MasterKeyError` in words when the source gives another one. */
export async function loadKeyNamed(source: MasterKeySource, master_key_id: string): Promise<Uint8Array> {
  const found = (await candidates(source, false)).find(key => masterKeyId(key) === master_key_id)
  if (found) return found
  throw new MasterKeyError(
    `The database is wrapped under a new master key, and ${nameOfSource(source)} still gives the old one: nothing is wrapped under that. ` +
      'Configure the new key and restart this master.',
  )
}

const sameWraps = (one: readonly DataKeyRow[], other: readonly DataKeyRow[]) =>
  one.length === other.length && one.every((row, at) => row.wrapped_key === other[at]?.wrapped_key)

/** Whether the key is the file that the master made in its data folder. */
export const inFolder = (source: MasterKeySource): boolean =>
  source.may_create && source.value === null && source.command === null

/** The key of the source and, while a rotation is under way, the next one. */
async function candidates(source: MasterKeySource, first_start: boolean): Promise<Uint8Array[]> {
  const key = await loadMasterKey(source, first_start)
  const next = inFolder(source) ? await nextKey(source) : null
  return next ? [key, next] : [key]
}

async function nextKey(source: MasterKeySource): Promise<Uint8Array | null> {
  const file = nextKeyFile(source.file)
  if (!existsSync(file)) return null
  try {
    return await loadMasterKey({ ...source, file }, false)
  } catch (error) {
    // Moved to its place a moment ago, or damaged: then it opens nothing.
    if (error instanceof MasterKeyError || (error as { code?: string }).code === 'ENOENT') return null
    throw error
  }
}

/** Ends what a rotation left, unless one is under way. */
async function settle(source: MasterKeySource, readRows: ReadRows, locked: boolean): Promise<void> {
  const release = locked ? () => undefined : lockKeyFile(source.file)
  if (!release) return
  try {
    // Under the lock: what the database says now stays true.
    const rows = await readRows()
    const next = await nextKey(source)
    if (next && rows.length > 0 && opensAll(next, rows))
      return renameDurably(nextKeyFile(source.file), source.file)
    // Where neither opens the database, nothing is thrown away.
    const kept = existsSync(source.file) ? await loadMasterKey(source, false) : null
    if (rows.length === 0 || (kept && opensAll(kept, rows))) removeNext(source.file)
  } finally {
    release()
  }
}

/** Also what was written of it in part. Under the lock. */
export function removeNext(file: string): void {
  const folder = dirname(file)
  const name = basename(nextKeyFile(file))
  for (const one of readdirSync(folder))
    if (one === name || (one.startsWith(`${name}.`) && one.endsWith('.tmp')))
      rmSync(join(folder, one), { force: true })
}
