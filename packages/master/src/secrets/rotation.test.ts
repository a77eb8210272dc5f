import { afterAll, beforeEach, expect, test } from 'bun:test'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pino from 'pino'
import { callerWith } from '../access/testing.ts'
import type { AuditLog } from '../audit/audit.ts'
import { openTestAudit } from '../audit/testing.ts'
import type { Database } from '../database/database.ts'
import { openDatabase } from '../database/open-database.ts'
import { forEachEngine } from '../database/testing.ts'
import { newId } from '../ids.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { addDataKey } from './data-keys.ts'
import { loadOpeningKey, lockKeyFile } from './key-file.ts'
import { makeKeyRing } from './key-ring.ts'
import { loadMasterKey, type MasterKeySource } from './master-key.ts'
import { type RotationWish, rotateDataKey, rotateMasterKey } from './rotation.ts'
import { openSecrets } from './secrets-service.ts'
import { dataKeys, overwriteReplaced } from './secrets-store.ts'
import { UNRECORDED } from './testing.ts'

const dir = mkdtempSync(join(tmpdir(), 'nxmesh-rotation-'))
afterAll(() => rmSync(dir, { recursive: true }))
const OWN = { purpose: 'agent_connection' } as const
const NOTHING_GIVEN: RotationWish = { given: null, only_this_folder: false }
const key = (byte: number) => Buffer.alloc(32, byte).toString('base64')

let folders = 0
const inNewFolder = (): MasterKeySource => {
  const folder = join(dir, `data-${++folders}`)
  mkdirSync(folder, { mode: 0o700 })
  return { value: null, command: null, file: join(folder, 'master.key'), may_create: true }
}
const given = (byte: number): MasterKeySource => {
  const file = join(dir, `given-${byte}`)
  writeFileSync(file, key(byte), { mode: 0o600 })
  return { value: null, command: null, file, may_create: false }
}
const fromEnvironment = (byte: number): MasterKeySource => ({ ...given(byte), value: key(byte) })

test('of a wrap from before master keys had names, nothing stays in the file either', async () => {
  const file = join(dir, 'old.db')
  const source = fromEnvironment(1)
  const onFile = async <T>(work: (db: Database) => Promise<T>): Promise<T> => {
    const db = await openDatabase(`sqlite:${file}`, () => {})
    return await work(db).finally(() => db.close())
  }
  const rest = {
    audit: {} as AuditLog,
    log: pino({ level: 'silent' }),
    now: () => new Date(),
    newId,
    reads: UNRECORDED,
  }
  const old = await onFile(async db => {
    await openSecrets({ ...rest, db, source })
    await rotateDataKey({ ...rest, db, source, audit: openTestAudit(db) })
    await db.write(async tx => {
      await overwriteReplaced(tx, db.engine)
      await tx.updateTable('data_keys').set({ master_key_id: null }).execute()
    })
    return (await dataKeys(db.read)).map(row => row.wrapped_key)
  })
  expect(old.filter(one => readFileSync(file).includes(one))).toEqual(old)
  await onFile(db => openSecrets({ ...rest, db, source }))
  await onFile(db =>
    rotateMasterKey({ ...rest, db, source, audit: openTestAudit(db) }, { ...NOTHING_GIVEN, given: given(2) }),
  )
  expect(old.filter(one => readFileSync(file).includes(one))).toEqual([])
  await onFile(db => openSecrets({ ...rest, db, source: fromEnvironment(2) }))
})

forEachEngine((_engine, open) => {
  let db: Database
  const clock = { past_ms: 0 }
  const logged: string[] = []
  beforeEach(async () => {
    db = await open()
    clock.past_ms = 0
    logged.length = 0
  })
  const deps = (source: MasterKeySource) => ({
    db,
    source,
    audit: openTestAudit(db),
    log: pino({}, { write: (line: string) => void logged.push(line) }),
    now: () => new Date(Date.now() + clock.past_ms),
    newId,
    reads: UNRECORDED,
  })
  const master = (source: MasterKeySource) => openSecrets(deps(source))
  const rotate = (source: MasterKeySource, wish: Partial<RotationWish> = {}) =>
    rotateMasterKey(deps(source), { ...NOTHING_GIVEN, ...wish })
  const opened = async (secrets: Awaited<ReturnType<typeof master>>, sealed: string) =>
    Buffer.from(await secrets.open(sealed, 'x', OWN)).toString()
  const wraps = async () => (await dataKeys(db.read)).map(row => row.wrapped_key)
  const later = () => {
    clock.past_ms += (MASTER_LIMITS.data_key_age_days + 1) * 86_400_000
  }

  test('the key file is replaced; who runs goes on, who starts finds everything, and it is in the audit log', async () => {
    const source = inNewFolder()
    const running = await master(source)
    const sealed = running.seal(Buffer.from('hello'), 'x')
    const [old_key, old_wraps] = [readFileSync(source.file, 'utf8'), await wraps()]
    const done = await rotate(source)
    expect(done).toMatchObject({ data_keys: 1, file: source.file, others: [], erased: true })
    expect(readFileSync(source.file, 'utf8')).not.toBe(old_key)
    expect(await wraps()).not.toContain(old_wraps[0])
    expect(await opened(running, sealed)).toBe('hello')
    const next = await master(source)
    expect(await opened(next, sealed)).toBe('hello')
    expect(await opened(next, running.seal(Buffer.from('more'), 'x'))).toBe('more')
    const rows = await db.read.selectFrom('audit_log').selectAll().execute()
    expect(rows).toMatchObject([
      { action: 'master_key.rotate', door: 'command', object_id: done.master_key_id, result: 'ok' },
    ])
    expect(JSON.stringify(rows)).not.toContain(old_key.trim())
    writeFileSync(source.file, old_key)
    await expect(master(source)).rejects.toThrow('after `nxmesh master rotate-key` that is the new one')
  })

  test('a running master wraps a new data key under the new master key, never under the old one', async () => {
    const source = inNewFolder()
    const running = await master(source)
    await rotate(source)
    const id = await rotateDataKey(deps(source))
    later()
    const other = await master(source)
    const sealed = other.seal(Buffer.from('hello'), 'x')
    expect(sealed).not.toContain(id)
    // It holds the old master key still, and meets two data keys that it has never seen.
    expect(await opened(running, sealed)).toBe('hello')
    const names = (await dataKeys(db.read)).map(row => row.master_key_id)
    expect(names).toHaveLength(3)
    expect(new Set(names).size).toBe(1)
  })

  test('where the source still gives the old key, nothing is wrapped under it, in words, and sealing goes on', async () => {
    const running = await master(fromEnvironment(1))
    const sealed = running.seal(Buffer.from('hello'), 'x')
    await rotate(fromEnvironment(1), { given: given(2) })
    await rotateDataKey(deps(fromEnvironment(2)))
    const next = await master(fromEnvironment(2))
    const newer = next.seal(Buffer.from('newer'), 'x')
    await expect(running.open(newer, 'x', OWN)).rejects.toThrow('The secret x does not open: its data key')
    expect(await opened(running, sealed)).toBe('hello')
    expect(await opened(next, running.seal(Buffer.from('still'), 'x'))).toBe('still')
    await expect(rotateDataKey(deps(fromEnvironment(1)))).rejects.toThrow('not the one')
    expect(new Set((await dataKeys(db.read)).map(row => row.master_key_id)).size).toBe(1)
    await expect(master(fromEnvironment(1))).rejects.toThrow('The master key is not the one')
  })

  test('a master that runs since before the rotation makes its next data key under the new key, or none and says why', async () => {
    const ringOf = async (source: MasterKeySource) =>
      makeKeyRing(deps(source), await loadOpeningKey(source, () => dataKeys(db.read)))
    const source = inNewFolder()
    await master(source)
    const [following, stuck] = [
      await ringOf(source),
      await ringOf({ ...source, value: readFileSync(source.file, 'utf8') }),
    ]
    const { master_key_id } = await rotate(source)
    later()
    await stuck.look()
    expect(logged.join()).toContain('still gives the old one: nothing is wrapped under that')
    expect(await wraps()).toHaveLength(1)
    await following.look()
    const rows = await dataKeys(db.read)
    expect(rows.map(row => row.master_key_id)).toEqual([master_key_id, master_key_id])
    expect(following.current().id).toBe(rows[1]?.id ?? '')
  })

  test('who still holds the old master key when the transaction begins cannot wrap under it', async () => {
    const source = inNewFolder()
    await master(source)
    const old_key = await loadMasterKey(source, false)
    await rotate(source)
    const made = { ...deps(source), caller: callerWith(), reason: 'age' } as const
    await expect(db.write(tx => addDataKey(tx, old_key, made))).rejects.toThrow('not the one')
    expect(await wraps()).toHaveLength(1)
  })

  test('a key that is not in the data folder is asked for, and the old one given again is refused', async () => {
    await master(fromEnvironment(1))
    const before = await wraps()
    await expect(rotate(fromEnvironment(1))).rejects.toThrow('--new-master-key-file')
    await expect(rotate(fromEnvironment(1), { given: given(1) })).rejects.toThrow('is the old one')
    await expect(rotate(fromEnvironment(3), { given: given(2) })).rejects.toThrow('not the one')
    expect(await wraps()).toEqual(before)
  })

  test('a folder with a copy of the key, or with another database, cannot change it', async () => {
    const source = inNewFolder()
    await master(source)
    const before = await wraps()
    const copy = inNewFolder()
    copyFileSync(source.file, copy.file)
    await expect(rotate(copy)).rejects.toThrow('is not the one of this database')

    // The command was given another database than the folder's master has; the same key opens both.
    const elsewhere = await open()
    await openSecrets({ ...deps(copy), db: elsewhere })
    await expect(rotate(copy)).rejects.toThrow('is not the one of this database')
    expect(await wraps()).toEqual(before)
    expect(readFileSync(copy.file)).toEqual(readFileSync(source.file))
    await master(source)
  })

  test('masters with key files in other folders are named, and the key changes only with a key for them or without them', async () => {
    const [one, two] = [inNewFolder(), inNewFolder()]
    await master(one)
    copyFileSync(one.file, two.file)
    await master(two)
    const before = await wraps()
    await expect(rotate(one)).rejects.toThrow(dirname(two.file))
    expect(await wraps()).toEqual(before)
    const done = await rotate(one, { given: given(5) })
    expect(done.others.join()).toContain(dirname(two.file))
    await expect(master(two)).rejects.toThrow('not the one')
    writeFileSync(two.file, key(5))
    await master(two)
    expect((await rotate(one, { only_this_folder: true })).others).toEqual([])
    await rotate(one)
    await master(one)
  })

  test('two commands at once do not cross, and a start leaves a rotation alone that is under way', async () => {
    const source = inNewFolder()
    await master(source)
    const release = lockKeyFile(source.file)
    writeFileSync(`${source.file}.next`, key(9), { mode: 0o600 })
    await expect(rotate(source)).rejects.toThrow('Another command changes')
    await expect(rotateDataKey(deps(source))).rejects.toThrow('Another command changes')
    await master(source)
    expect(existsSync(`${source.file}.next`)).toBe(true)
    release?.()
    // Nobody is at it any more, and the key is not the one.
    await master(source)
    expect(existsSync(`${source.file}.next`)).toBe(false)
    await rotate(source)
  })

  test('a new data key seals, the old ones open, and each change is in the audit log', async () => {
    const source = inNewFolder()
    const running = await master(source)
    const sealed = running.seal(Buffer.from('hello'), 'x')
    const id = await rotateDataKey(deps(source))
    const next = await master(source)
    expect(next.seal(Buffer.from('more'), 'x')).toContain(id)
    expect(await opened(next, sealed)).toBe('hello')
    await rotate(source)
    expect(await opened(await master(source), sealed)).toBe('hello')
    const rows = await db.read.selectFrom('audit_log').select(['action', 'door', 'object_id']).execute()
    expect(rows).toMatchObject([
      { action: 'data_key.rotate', door: 'command', object_id: id },
      { action: 'master_key.rotate', door: 'command' },
    ])
  })
})
