import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { openTestAudit } from '../audit/testing.ts'
import type { Database } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import { newId } from '../ids.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { loadMasterKey, MasterKeyError, type MasterKeySource } from './master-key.ts'
import { SecretDamagedError } from './secrets.ts'
import { openSecrets } from './secrets-service.ts'
import { UNRECORDED } from './testing.ts'

const dir = mkdtempSync(join(tmpdir(), 'nxmesh-secrets-'))
afterAll(() => rmSync(dir, { recursive: true }))
const now = () => new Date()
const log = pino({ level: 'silent' })
const OWN = { purpose: 'agent_connection' } as const
const from = (changes: Partial<MasterKeySource>): MasterKeySource => ({
  value: null,
  command: null,
  file: join(dir, 'none'),
  may_create: false,
  ...changes,
})
const key = (byte: number) => Buffer.alloc(32, byte).toString('base64')

forEachEngine((_engine, open) => {
  let db: Database
  beforeAll(async () => {
    db = await open()
  })
  const secretsWith = (source: Partial<MasterKeySource>) =>
    openSecrets({ db, source: from(source), audit: openTestAudit(db), log, now, newId, reads: UNRECORDED })

  test('a sealed value opens after a restart, under its own identity only', async () => {
    const sealed = (await secretsWith({ value: key(1) })).seal(Buffer.from('hello'), 'agent_keys/1')
    const again = await secretsWith({ value: key(1) })
    expect(Buffer.from(await again.open(sealed, 'agent_keys/1', OWN)).toString()).toBe('hello')
    await expect(again.open(sealed, 'agent_keys/2', OWN)).rejects.toThrow('agent_keys/2 does not open')
    expect(sealed).not.toContain('hello')
  })

  test('the same value sealed twice looks different', async () => {
    const secrets = await secretsWith({ value: key(1) })
    expect(secrets.seal(Buffer.from('a'), 'x')).not.toBe(secrets.seal(Buffer.from('a'), 'x'))
  })

  test('a value of which any byte was flipped, put in or cut off is an error that names the record, never another secret', async () => {
    const secrets = await secretsWith({ value: key(1) })
    for (const plaintext of ['', 'a', 'hello', randomBytes(200).toString('hex')]) {
      const identity = `agent_keys/${newId()}`
      const sealed = Buffer.from(secrets.seal(Buffer.from(plaintext), identity))
      const refused = async (damaged: Buffer) => {
        const error = await secrets
          .open(damaged.toString('latin1'), identity, OWN)
          .catch((one: unknown) => one)
        expect(error).toBeInstanceOf(SecretDamagedError)
        expect((error as Error).message).toContain(identity)
      }
      for (let at = 0; at < sealed.byteLength; at++) {
        for (const bits of [1, 1 << (at % 8), 0xff]) {
          const damaged = Buffer.from(sealed)
          damaged[at] = (damaged[at] ?? 0) ^ bits
          await refused(damaged)
        }
      }
      for (const more of ['=', ' ', '.', 'A']) await refused(Buffer.concat([sealed, Buffer.from(more)]))
      for (const length of [0, 3, 30, 60, sealed.byteLength - 1]) await refused(sealed.subarray(0, length))
      expect(Buffer.from(await secrets.open(sealed.toString(), identity, OWN)).toString()).toBe(plaintext)
    }
  })

  test('a data key is old after its days: a new one seals, and what the old one sealed still opens', async () => {
    const own = await open()
    const clock = { at: Date.now() }
    const master = () =>
      openSecrets({
        db: own,
        source: from({ value: key(3) }),
        audit: openTestAudit(own),
        log,
        now: () => new Date(clock.at),
        newId,
        reads: UNRECORDED,
      })
    const first = await master()
    const sealed = first.seal(Buffer.from('old'), 'x')
    clock.at += (MASTER_LIMITS.data_key_age_days + 1) * 86_400_000
    const second = await master()
    const resealed = second.seal(Buffer.from('new'), 'x')
    expect(resealed.split('.')[1]).not.toBe(sealed.split('.')[1])
    expect(Buffer.from(await second.open(sealed, 'x', OWN)).toString()).toBe('old')
    // The master that was there before learns of the key when it meets it.
    expect(Buffer.from(await first.open(resealed, 'x', OWN)).toString()).toBe('new')
    expect(first.seal(Buffer.from('more'), 'x').split('.')[1]).toBe(resealed.split('.')[1])
    const rows = await own.read.selectFrom('audit_log').select(['action', 'door', 'after_json']).execute()
    expect(rows).toMatchObject([{ action: 'data_key.rotate', door: 'system' }])
    expect(rows[0]?.after_json).toContain('"reason":"age"')
  })

  test('a master does not start with the wrong master key, and says so', async () => {
    await secretsWith({ value: key(1) })
    await expect(secretsWith({ value: key(2) })).rejects.toThrow(MasterKeyError)
    await expect(secretsWith({ value: key(2) })).rejects.toThrow('not the one')
  })

  test('a lost key file is an error, not a new key', async () => {
    await secretsWith({ value: key(1) })
    const file = join(dir, `lost-${db.engine}`)
    await expect(secretsWith({ file, may_create: true })).rejects.toThrow('Put it back')
    expect(existsSync(file)).toBe(false)
  })
})

describe('the master key', () => {
  test('is made at the first start, readable by its owner only, and kept', async () => {
    const source = from({ file: join(dir, 'made'), may_create: true })
    const made = await loadMasterKey(source, true)
    expect(made.byteLength).toBe(32)
    expect(statSync(source.file).mode & 0o777).toBe(0o600)
    expect(await loadMasterKey(source, true)).toEqual(made)
  })

  test('comes from a file, an environment file, a command or the environment', async () => {
    const plain = join(dir, 'plain')
    writeFileSync(plain, `${key(7)}\n`, { mode: 0o600 })
    const environment = join(dir, 'environment')
    writeFileSync(environment, `# secrets\nOTHER=1\nNXMESH_MASTER_KEY="${key(8)}"\n`, { mode: 0o600 })
    const first = async (source: Partial<MasterKeySource>) => (await loadMasterKey(from(source), false))[0]
    expect(await first({ file: plain })).toBe(7)
    expect(await first({ file: environment })).toBe(8)
    expect(await first({ command: `cat ${plain}` })).toBe(7)
    expect(await first({ value: Buffer.alloc(32, 9).toString('hex') })).toBe(9)
  })

  test('in a file that others can read or change is refused, with the command that mends it', async () => {
    const file = join(dir, 'exposed')
    writeFileSync(file, key(7))
    const load = (mode: number, may_create: boolean, uid = process.getuid?.() ?? 0) => {
      chmodSync(file, mode)
      if (process.getuid?.() === 0) chownSync(file, uid, 0)
      return () => loadMasterKey(from({ file, may_create }), false)
    }
    for (const mode of [0o640, 0o620, 0o604, 0o602, 0o666]) {
      await expect(load(mode, true)()).rejects.toThrow(`(mode ${mode.toString(8)}). Run: chmod 600 ${file}`)
      await expect(load(mode, false, 12_345)()).rejects.toThrow('Run: chmod 600')
    }
    for (const mode of [0o600, 0o400]) expect((await load(mode, true)())[0]).toBe(7)
  })

  // Only root can make a file of root's.
  test.skipIf(process.getuid?.() !== 0)(
    'that is given in a file of root’s may be shared with a group',
    async () => {
      const file = join(dir, 'shared')
      writeFileSync(file, key(7))
      const load = (mode: number) => {
        chmodSync(file, mode)
        return () => loadMasterKey(from({ file }), false)
      }
      for (const mode of [0o440, 0o640]) expect((await load(mode)())[0]).toBe(7)
      await expect(load(0o444)()).rejects.toThrow('chmod 440')
      for (const mode of [0o644, 0o642, 0o660, 0o620]) await expect(load(mode)()).rejects.toThrow('chmod')
    },
  )

  test('that is missing, short or not there for a command is a clear error', async () => {
    const load = (source: Partial<MasterKeySource>) => () => loadMasterKey(from(source), true)
    await expect(load({})()).rejects.toThrow('does not exist')
    await expect(load({ value: 'c2hvcnQ=' })()).rejects.toThrow('32 random bytes')
    await expect(load({ value: 'not base64 at all, but long enough to be one' })()).rejects.toThrow(
      '32 random bytes',
    )
    await expect(load({ command: 'exit 3' })()).rejects.toThrow('status 3')
    expect(existsSync(join(dir, 'none'))).toBe(false)
    expect(readFileSync(join(dir, 'plain'), 'utf8')).toContain('=')
  })
})
