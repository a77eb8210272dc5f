import { setTimeout as pause } from 'node:timers/promises'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import { faultPoint } from '../faults.ts'
import { renameDurably } from '../files.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { addDataKey, isWrappedUnder, opensAll, unwrap, wrap } from './data-keys.ts'
import { inFolder, loadOpeningKey, lockKeyFile, nextKeyFile, removeNext } from './key-file.ts'
import { judgeHome } from './key-home.ts'
import {
  loadMasterKey,
  type MasterKeySource,
  masterKeyId,
  nameOfSource,
  newMasterKey,
  RotationError,
  writeKeyFile,
} from './master-key.ts'
import { theMaster } from './secret-reads.ts'
import { dataKeys, eraseReplaced, overwriteReplaced, removeKeyFolder, replaceWrap } from './secrets-store.ts'

export interface RotationDeps {
  readonly db: Database
  /** Where the present key comes from. */
  readonly source: MasterKeySource
  readonly audit: AuditLog
  readonly now: () => Date
  readonly newId: () => string
}

export interface RotationWish {
  /** Where the new key is; null: a random one, which only the key file in the data folder can take up. */
  readonly given: MasterKeySource | null
  /** The operator says that the key files of other data folders are not used any more. */
  readonly only_this_folder: boolean
}

export interface Rotated {
  readonly master_key_id: string
  readonly data_keys: number
  /** The key file that holds the new key; null: the operator must bring it to where the masters take it from. */
  readonly file: string | null
  /** Other data folders whose key file opened this database until now. */
  readonly others: readonly string[]
  /** Whether the old wraps are out of the database's files. */
  readonly erased: boolean
}

/**
 * Wraps all data keys under a new master key, in one transaction, while masters go on. Throws `RotationError`,
 * `MasterKeyError`, `FileModeError`. A kill at any point leaves the old key or the new one in force, and the next start of
 * the master, or the next run, tells which.
 */
export async function rotateMasterKey(deps: RotationDeps, wish: RotationWish): Promise<Rotated> {
  if (inFolder(deps.source)) return await rotateKeyFile(deps, wish)
  const { source, db } = deps
  if (!wish.given) {
    throw new RotationError(
      `The master key comes from ${nameOfSource(source)}, where this command cannot put a new one. Make one (openssl rand -base64 32) and ` +
        'give it with --new-master-key-file or --new-master-key-command.',
    )
  }
  const old_key = await openingKey(deps)
  const new_key = await loadMasterKey(wish.given, false)
  const { others } = await judgeHome(db, source)
  const data_keys = await rewrap(deps, old_key, new_key, [])
  return await done(deps, new_key, { data_keys, file: null, others: others.map(one => one.place) })
}

async function rotateKeyFile(deps: RotationDeps, wish: RotationWish): Promise<Rotated> {
  const { file } = deps.source
  const others = await ownFolder(deps)
  const release = lockKeyFile(file)
  if (!release)
    throw new RotationError(`Another command changes ${file} at this moment. Wait until it has ended.`)
  try {
    if (others.length > 0 && !wish.given && !wish.only_this_folder) throw foreignFolders(others)
    const old_key = await openingKey(deps)
    const new_key = wish.given ? await loadMasterKey(wish.given, false) : newMasterKey()
    removeNext(file)
    writeKeyFile(nextKeyFile(file), new_key)
    faultPoint('key_written')
    const gone = wish.only_this_folder ? others.map(one => one.folder_id) : []
    const data_keys = await rewrapOrTidy(deps, old_key, new_key, gone)
    faultPoint('wrapped')
    renameDurably(nextKeyFile(file), file)
    faultPoint('key_in_place')
    const left = wish.only_this_folder ? [] : others.map(one => one.place)
    return await done(deps, new_key, { data_keys, file, others: left })
  } finally {
    release()
  }
}

/** The other folders with a key file of this database. Throws when this folder has none, before anything in it is touched. */
async function ownFolder({ db, source }: RotationDeps) {
  const { problem, others } = await judgeHome(db, source)
  if (problem) throw new RotationError(`${problem} Give the command the settings that the master runs with.`)
  return others
}

const foreignFolders = (others: readonly { place: string }[]) =>
  new RotationError(
    `Masters with other data folders have the key of this database in files of their own, which this command cannot change: ${others.map(one => one.place).join('; ')}. ` +
      'Make a key (openssl rand -base64 32), give it with --new-master-key-file and put it into their master.key before they start again; ' +
      'or, if these folders are not used any more, say --only-this-folder. Nothing was changed.',
  )

/** The key in force; ends what an earlier rotation left. */
async function openingKey({ db, source }: RotationDeps): Promise<Uint8Array> {
  const { master_key, rows } = await loadOpeningKey(source, () => dataKeys(db.read), true)
  if (rows.length === 0)
    throw new RotationError('The database holds no data key: no master has started with it yet.')
  for (const row of rows) unwrap(master_key, row)
  return master_key
}

async function rewrapOrTidy(
  deps: RotationDeps,
  old_key: Uint8Array,
  new_key: Uint8Array,
  gone: readonly string[],
): Promise<number> {
  try {
    return await rewrap(deps, old_key, new_key, gone)
  } catch (error) {
    // A commit whose answer was lost may have been: only the database knows which key it is.
    const rows = await dataKeys(deps.db.read).catch(() => null)
    if (rows && opensAll(old_key, rows)) removeNext(deps.source.file)
    else if (rows && opensAll(new_key, rows)) return rows.length
    throw error
  }
}

async function rewrap(
  deps: RotationDeps,
  old_key: Uint8Array,
  new_key: Uint8Array,
  gone: readonly string[],
): Promise<number> {
  const [old_id, new_id] = [masterKeyId(old_key), masterKeyId(new_key)]
  if (old_id === new_id) throw new RotationError('The new master key is the old one. Nothing was changed.')
  return await writeBeside(deps.db, async tx => {
    const rows = await dataKeys(tx)
    if (!isWrappedUnder(old_key, rows))
      throw new RotationError('Another rotation came first. Nothing was changed.')
    await overwriteReplaced(tx, deps.db.engine)
    for (const row of rows) await replaceWrap(tx, row.id, wrap(new_key, row.id, unwrap(old_key, row)))
    for (const folder_id of gone) await removeKeyFolder(tx, folder_id)
    await deps.audit.append(tx, theMaster('command', deps.newId()), {
      action: 'master_key.rotate',
      object_type: 'master_key',
      object_id: new_id,
      before: { master_key_id: old_id },
      after: { master_key_id: new_id, data_keys: rows.length },
    })
    faultPoint('wrapping')
    return rows.length
  })
}

async function done(
  { db }: RotationDeps,
  new_key: Uint8Array,
  rest: Pick<Rotated, 'data_keys' | 'file' | 'others'>,
): Promise<Rotated> {
  // The rotation stands whether or not this succeeds.
  const erased = await eraseReplaced(db).catch(() => false)
  faultPoint('cleaned')
  return { ...rest, erased, master_key_id: masterKeyId(new_key) }
}

/** A new data key for all that is sealed from now on; running masters take it up within a minute. Returns its id. */
export async function rotateDataKey(deps: RotationDeps): Promise<string> {
  if (inFolder(deps.source)) await ownFolder(deps)
  const release = inFolder(deps.source) ? lockKeyFile(deps.source.file) : () => undefined
  if (!release)
    throw new RotationError(
      `Another command changes ${deps.source.file} at this moment. Wait until it has ended.`,
    )
  try {
    const master_key = await openingKey(deps)
    const caller = theMaster('command', deps.newId())
    return (
      await writeBeside(deps.db, tx => addDataKey(tx, master_key, { ...deps, caller, reason: 'command' }))
    ).id
  } finally {
    release()
  }
}

/** A master that runs on the same SQLite database may be writing whenever this one looks. */
async function writeBeside<T>(db: Database, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.write(work)
    } catch (error) {
      if (!String((error as { code?: unknown } | null)?.code).startsWith('SQLITE_BUSY')) throw error
      if (attempt >= MASTER_LIMITS.command_write_attempts)
        throw new RotationError('The database is written to without a pause. Nothing was changed.', {
          cause: error,
        })
      await pause(Math.random() * 50)
    }
  }
}
