import { randomBytes } from 'node:crypto'
import type { Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Tx } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { decrypt, encrypt } from './envelope.ts'
import { MasterKeyError, masterKeyId } from './master-key.ts'
import { type DataKeyRow, dataKeys, insertDataKey, retireDataKeys } from './secrets-store.ts'

const DATA_KEY_BYTES = 32

const aad = (data_key_id: string) => `data_keys/${data_key_id}`

export function wrap(master_key: Uint8Array, id: string, data_key: Uint8Array) {
  return {
    wrapped_key: encrypt(master_key, data_key, aad(id)),
    master_key_id: masterKeyId(master_key),
  }
}

/** Throws `MasterKeyError` when it was wrapped under another master key. */
export function unwrap(master_key: Uint8Array, row: DataKeyRow): Uint8Array {
  try {
    return decrypt(master_key, row.wrapped_key, aad(row.id))
  } catch (cause) {
    throw wrongKey(cause)
  }
}

const wrongKey = (cause?: unknown) =>
  new MasterKeyError(
    'The master key is not the one that this database was sealed under. Configure the right one (master_key_file, ' +
      'NXMESH_MASTER_KEY or master_key_command); after `nxmesh master rotate-key` that is the new one.',
    { cause },
  )

export function opensAll(master_key: Uint8Array, rows: readonly DataKeyRow[]): boolean {
  try {
    for (const row of rows) unwrap(master_key, row)
    return true
  } catch {
    return false
  }
}

export function currentKey(rows: readonly DataKeyRow[]): DataKeyRow {
  const current = rows.findLast(row => row.retired_at === null)
  if (!current) throw new Error('The database holds no data key in use; restore a backup.')
  return current
}

/** All of them are wrapped under this master key, or were before the name of it was kept. */
export const isWrappedUnder = (master_key: Uint8Array, rows: readonly DataKeyRow[]): boolean => {
  const id = masterKeyId(master_key)
  return rows.every(
    row => row.master_key_id === id || (row.master_key_id === null && opensAll(master_key, [row])),
  )
}

export interface NewDataKey {
  readonly audit: AuditLog
  readonly newId: () => string
  readonly now: () => Date
  readonly caller: Caller
  /** In the audit row, which the first key of all has none of. */
  readonly reason: 'age' | 'command' | 'first start'
}

/**
 * Makes the data key that seals from now on; the others stay for opening. Throws `MasterKeyError` when the others are
 * wrapped under another master key: then this one is the old one, and nothing may be wrapped under it any more.
 */
export async function addDataKey(tx: Tx, master_key: Uint8Array, made: NewDataKey): Promise<DataKeyRow> {
  const rows = await dataKeys(tx)
  if (!isWrappedUnder(master_key, rows)) throw wrongKey()
  if (rows.length >= MASTER_LIMITS.data_keys)
    throw new Error(`There are ${rows.length} data keys; more are not kept.`)
  const at = made.now().toISOString()
  const id = made.newId()
  const row = { id, ...wrap(master_key, id, randomBytes(DATA_KEY_BYTES)), created_at: at, retired_at: null }
  const before = rows.findLast(one => one.retired_at === null)
  await retireDataKeys(tx, at)
  await insertDataKey(tx, row)
  if (before) {
    await made.audit.append(tx, made.caller, {
      action: 'data_key.rotate',
      object_type: 'data_key',
      object_id: id,
      before: { data_key_id: before.id },
      after: { data_key_id: id, master_key_id: row.master_key_id, reason: made.reason },
    })
  }
  return row
}
