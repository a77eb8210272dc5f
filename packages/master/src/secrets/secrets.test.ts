import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
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
import type { Database } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import { newId } from '../ids.ts'
import { loadMasterKey, MasterKeyError, type MasterKeySource } from './master-key.ts'
import { openSecrets } from './secrets-service.ts'

const dir = mkdtempSync(join(tmpdir(), 'nxmesh-secrets-'))
afterAll(() => rmSync(dir, { recursive: true }))
const now = () => new Date()
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
    openSecrets({ db, source: from(source), now, newId })

  test('a sealed value opens after a restart, under its own identity only', async () => {
    const sealed = (await secretsWith({ value: key(1) })).seal(Buffer.from('hello'), 'agent_keys/1')
    const again = await secretsWith({ value: key(1) })
    expect(Buffer.from(again.open(sealed, 'agent_keys/1')).toString()).toBe('hello')
    expect(() => again.open(sealed, 'agent_keys/2')).toThrow('does not open')
    expect(sealed).not.toContain('hello')
  })

  test('the same value sealed twice looks different', async () => {
    const secrets = await secretsWith({ value: key(1) })
    expect(secrets.seal(Buffer.from('a'), 'x')).not.toBe(secrets.seal(Buffer.from('a'), 'x'))
  })

  test('a value of which one byte was flipped, or a part cut off, does not open', async () => {
    const secrets = await secretsWith({ value: key(1) })
    const [format, id, body = ''] = secrets.seal(Buffer.from('hello'), 'x').split('.')
    const bytes = Buffer.from(body, 'base64url')
    for (let at = 0; at < bytes.byteLength; at++) {
      const forged = Buffer.from(bytes)
      forged[at] = (forged[at] ?? 0) ^ 1
      expect(() => secrets.open(`${format}.${id}.${forged.toString('base64url')}`, 'x')).toThrow(
        'does not open',
      )
    }
    expect(() => secrets.open(`${format}.${id}.${body.slice(0, 20)}`, 'x')).toThrow('does not open')
    expect(() => secrets.open(`${format}.other.${body}`, 'x')).toThrow()
    expect(() => secrets.open('', 'x')).toThrow('unknown format')
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
  test('is made at the first start, readable by its owner only, and kept', () => {
    const source = from({ file: join(dir, 'made'), may_create: true })
    const made = loadMasterKey(source, true)
    expect(made.byteLength).toBe(32)
    expect(statSync(source.file).mode & 0o777).toBe(0o600)
    expect(loadMasterKey(source, true)).toEqual(made)
  })

  test('comes from a file, an environment file, a command or the environment', () => {
    const plain = join(dir, 'plain')
    writeFileSync(plain, `${key(7)}\n`, { mode: 0o600 })
    const environment = join(dir, 'environment')
    writeFileSync(environment, `# secrets\nOTHER=1\nNXMESH_MASTER_KEY="${key(8)}"\n`, { mode: 0o600 })
    const first = (source: Partial<MasterKeySource>) => loadMasterKey(from(source), false)[0]
    expect(first({ file: plain })).toBe(7)
    expect(first({ file: environment })).toBe(8)
    expect(first({ command: `cat ${plain}` })).toBe(7)
    expect(first({ value: Buffer.alloc(32, 9).toString('hex') })).toBe(9)
  })

  test('in a file that others can read or change is refused, with the command that mends it', () => {
    const file = join(dir, 'exposed')
    writeFileSync(file, key(7))
    const load = (mode: number, may_create: boolean, uid = process.getuid?.() ?? 0) => {
      chmodSync(file, mode)
      if (process.getuid?.() === 0) chownSync(file, uid, 0)
      return () => loadMasterKey(from({ file, may_create }), false)
    }
    for (const mode of [0o640, 0o620, 0o604, 0o602, 0o666]) {
      expect(load(mode, true)).toThrow(`(mode ${mode.toString(8)}). Run: chmod 600 ${file}`)
      expect(load(mode, false, 12_345)).toThrow('Run: chmod 600')
    }
    for (const mode of [0o600, 0o400]) expect(load(mode, true)()[0]).toBe(7)
  })

  // Only root can make a file of root's.
  test.skipIf(process.getuid?.() !== 0)(
    'that is given in a file of root’s may be shared with a group',
    () => {
      const file = join(dir, 'shared')
      writeFileSync(file, key(7))
      const load = (mode: number) => {
        chmodSync(file, mode)
        return () => loadMasterKey(from({ file }), false)
      }
      for (const mode of [0o440, 0o640]) expect(load(mode)()[0]).toBe(7)
      expect(load(0o444)).toThrow('chmod 440')
      for (const mode of [0o644, 0o642, 0o660, 0o620]) expect(load(mode)).toThrow('chmod')
    },
  )

  test('that is missing, short or not there for a command is a clear error', () => {
    const load = (source: Partial<MasterKeySource>) => () => loadMasterKey(from(source), true)
    expect(load({})).toThrow('does not exist')
    expect(load({ value: 'c2hvcnQ=' })).toThrow('32 random bytes')
    expect(load({ value: 'not base64 at all, but long enough to be one' })).toThrow('32 random bytes')
    expect(load({ command: 'exit 3' })).toThrow('status 3')
    expect(existsSync(join(dir, 'none'))).toBe(false)
    expect(readFileSync(join(dir, 'plain'), 'utf8')).toContain('=')
  })
})
