import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'

export interface DataKeyRow {
  readonly id: string
  readonly wrapped_key: string
  /** Null: wrapped before it was kept. */
  readonly master_key_id: string | null
  readonly created_at: string
  readonly retired_at: string | null
}

/** All data keys, the newest last. */
export async function dataKeys(db: Queryable): Promise<DataKeyRow[]> {
  return await db.selectFrom('data_keys').selectAll().orderBy('id').execute()
}

export async function insertDataKey(tx: Tx, row: DataKeyRow): Promise<void> {
  await tx.insertInto('data_keys').values(row).execute()
}

export async function retireDataKeys(tx: Tx, at: string): Promise<void> {
  await tx.updateTable('data_keys').set({ retired_at: at }).where('retired_at', 'is', null).execute()
}

/** Only where the wrap is still the one that was looked at. */
export async function nameMasterKey(tx: Tx, row: DataKeyRow, master_key_id: string): Promise<void> {
  const update = tx.updateTable('data_keys').set({ master_key_id }).where('id', '=', row.id)
  await update.where('wrapped_key', '=', row.wrapped_key).execute()
}

/** SQLite overwrites what is replaced in the pages of this transaction (https://sqlite.org/pragma.html#pragma_secure_delete). */
export async function overwriteReplaced(tx: Tx, engine: Database['engine']): Promise<void> {
  if (engine === 'sqlite') await sql`pragma secure_delete = on`.execute(tx)
}

export async function replaceWrap(
  tx: Tx,
  id: string,
  wrap: Pick<DataKeyRow, 'wrapped_key' | 'master_key_id'>,
): Promise<void> {
  await tx.updateTable('data_keys').set(wrap).where('id', '=', id).execute()
}

/**
 * Takes replaced wraps out of the files: SQLite's log of writes is folded in and cut, PostgreSQL writes the table anew. Returns
 * false when others kept it from that until the deadline.
 */
export async function eraseReplaced(db: Database): Promise<boolean> {
  if (db.engine === 'postgresql') {
    await sql`vacuum full data_keys`.execute(db.read)
    return true
  }
  const deadline = Date.now() + MASTER_LIMITS.wal_clean_ms
  for (;;) {
    const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(db.read)
    if (rows[0]?.busy === 0) return true
    if (Date.now() > deadline) return false
    await pause(50)
  }
}

// --- Which data folders hold the key of this database ---

const INSTANCE = 'instance_id'
const FOLDER = 'key_folder/'

export interface KeyFolders {
  /** A name of this database; null before its first start. */
  readonly instance_id: string | null
  /** By the folder's id, as text for people. */
  readonly folders: ReadonlyMap<string, string>
}

export async function keyFolders(db: Queryable): Promise<KeyFolders> {
  const rows = await db
    .selectFrom('instance_facts')
    .selectAll()
    .where(eb => eb.or([eb('key', '=', INSTANCE), eb('key', 'like', `${FOLDER}%`)]))
    .orderBy('key')
    .execute()
  const folders = rows.filter(row => row.key !== INSTANCE)
  return {
    instance_id: rows.find(row => row.key === INSTANCE)?.value ?? null,
    folders: new Map(folders.map(row => [row.key.slice(FOLDER.length), row.value])),
  }
}

export async function nameInstance(tx: Tx, instance_id: string): Promise<void> {
  await tx.insertInto('instance_facts').values({ key: INSTANCE, value: instance_id }).execute()
}

export async function putKeyFolder(tx: Tx, folder_id: string, place: string): Promise<void> {
  await removeKeyFolder(tx, folder_id)
  await tx
    .insertInto('instance_facts')
    .values({ key: FOLDER + folder_id, value: place })
    .execute()
}

export async function removeKeyFolder(tx: Tx, folder_id: string): Promise<void> {
  await tx
    .deleteFrom('instance_facts')
    .where('key', '=', FOLDER + folder_id)
    .execute()
}
