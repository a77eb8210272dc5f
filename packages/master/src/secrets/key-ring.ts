import type { Logger } from 'pino'
import type { AuditLog } from '../audit/audit.ts'
import type { Database } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { addDataKey, currentKey, unwrap } from './data-keys.ts'
import { loadKeyNamed } from './key-file.ts'
import { MasterKeyError, type MasterKeySource, masterKeyId } from './master-key.ts'
import { theMaster } from './secret-reads.ts'
import { type DataKeyRow, dataKeys } from './secrets-store.ts'

export interface KeyRingDeps {
  readonly db: Database
  readonly source: MasterKeySource
  readonly audit: AuditLog
  readonly log: Pick<Logger, 'error' | 'info'>
  readonly now: () => Date
  readonly newId: () => string
}

/** The data keys that a running master holds, unwrapped. */
export interface KeyRing {
  /** What seals now. */
  current(): { readonly id: string; readonly key: Uint8Array }
  /** Undefined when the database has none of this id either. */
  find(id: string): Promise<Uint8Array | undefined>
  /** Learns of keys that a command or another master made, and makes a new one when the current is old. */
  look(): Promise<void>
}

const DAY_MS = 86_400_000

export function makeKeyRing(
  deps: KeyRingDeps,
  opened: { master_key: Uint8Array; rows: readonly DataKeyRow[] },
): KeyRing {
  const { db, source, now } = deps
  const keys = new Map<string, Uint8Array>()
  let { master_key } = opened
  let current: { id: string; key: Uint8Array; created_at: string }

  const learn = (rows: readonly DataKeyRow[]) => {
    for (const row of rows) if (!keys.has(row.id)) keys.set(row.id, unwrap(master_key, row))
    const { id, created_at } = currentKey(rows)
    current = { id, key: keyOf(id), created_at }
  }
  const keyOf = (id: string) => {
    const key = keys.get(id)
    if (!key) throw new Error(`The data key ${id} is not here.`)
    return key
  }
  learn(opened.rows)

  /** After a rotation the source gives another key than at the start; only that one may wrap. */
  const followRotation = async (rows: readonly DataKeyRow[]) => {
    const named = rows.find(row => row.master_key_id !== null)?.master_key_id
    if (named && named !== masterKeyId(master_key)) master_key = await loadKeyNamed(source, named)
  }

  const refresh = async () => {
    const rows = await dataKeys(db.read)
    if (rows.some(row => !keys.has(row.id))) await followRotation(rows)
    learn(rows)
  }

  const isOld = () =>
    now().getTime() - Date.parse(current.created_at) > MASTER_LIMITS.data_key_age_days * DAY_MS

  const rotate = async () => {
    // Whoever changed the master key since it was loaded makes this fail; the next look loads it again.
    await followRotation(await dataKeys(db.read))
    const rows = await db.write(async tx => {
      const before = await dataKeys(tx)
      // Another master of this database may have been quicker.
      if (currentKey(before).id !== current.id) return before
      const caller = theMaster('system', deps.newId())
      await addDataKey(tx, master_key, { ...deps, caller, reason: 'age' })
      return await dataKeys(tx)
    })
    learn(rows)
    deps.log.info({ data_key_id: current.id }, 'A new data key seals from now on')
  }

  return {
    current: () => current,
    async find(id) {
      if (!keys.has(id)) await refresh()
      return keys.get(id)
    },
    async look() {
      try {
        await refresh()
        if (isOld()) await rotate()
      } catch (error) {
        const what = error instanceof MasterKeyError ? error.message : 'The data keys could not be looked at'
        deps.log.error({ err: error }, what)
      }
    },
  }
}
