import { beforeEach, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { callerWith } from '../access/testing.ts'
import type { AuditLog } from '../audit/audit.ts'
import { makeTestWorkspace, openTestAudit } from '../audit/testing.ts'
import type { Database } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import { newId } from '../ids.ts'
import { makeSecretReads, type SecretReadsDeps } from './secret-reads.ts'
import { openSecrets } from './secrets-service.ts'

/** What `after` of a row of collected reads holds. */
interface Collected {
  readonly purpose: string
  readonly reads: number
  readonly identities: readonly string[]
  readonly left_out?: number
}

forEachEngine((_engine, open) => {
  let db: Database
  let logged: string[]
  const log = pino({}, { write: (line: string) => void logged.push(line) })
  beforeEach(async () => {
    db = await open()
    logged = []
  })
  const readsWith = (more: Partial<SecretReadsDeps> = {}) =>
    makeSecretReads({ audit: openTestAudit(db), log, newId, ...more })
  const rows = () =>
    db.read
      .selectFrom('audit_log')
      .selectAll()
      .where('action', '=', 'secret.read')
      .orderBy('sequence')
      .execute()
  const collected = async () => (await rows()).map(row => JSON.parse(row.after_json ?? '{}') as Collected)
  const soon = async (count: number) => {
    const deadline = Date.now() + 10_000
    while ((await rows()).length < count) {
      if (Date.now() > deadline) throw new Error(`there are ${(await rows()).length} rows, not ${count}`)
      await Bun.sleep(20)
    }
  }

  test('a secret that somebody opens is told of before it is given out, and not given out when that fails', async () => {
    const { organization_id, workspace_id } = await makeTestWorkspace(db, 'acme')
    const source = {
      value: randomBytes(32).toString('hex'),
      command: null,
      file: '/none',
      may_create: false,
    }
    const real = openTestAudit(db)
    let broken = false
    const audit: AuditLog = {
      append: real.append,
      record: async (...event) => {
        if (broken) throw new Error('the disk is full')
        await real.record(...event)
      },
    }
    const secrets = await openSecrets({ db, source, audit, log, now: () => new Date(), newId })
    const caller = callerWith()
    const sealed = secrets.seal(Buffer.from('hello'), 'certificates/1')
    const reader = { caller, purpose: 'private_key_download', workspace_id }
    expect(Buffer.from(await secrets.open(sealed, 'certificates/1', reader)).toString()).toBe('hello')
    const told = {
      object_type: 'secret',
      object_id: 'certificates/1',
      principal_id: caller.principal.id,
      door: 'rest',
      workspace_id,
      organization_id,
    }
    expect(await rows()).toMatchObject([told])

    // In a transaction that is undone nothing was read, so nothing is told.
    const undone = db.write(async tx => {
      await secrets.open(sealed, 'certificates/1', { ...reader, tx })
      throw new Error('undone')
    })
    await expect(undone).rejects.toThrow('undone')
    await db.write(async tx => void (await secrets.open(sealed, 'certificates/1', { ...reader, tx })))
    expect(await rows()).toMatchObject([told, told])

    broken = true
    await expect(secrets.open(sealed, 'certificates/1', reader)).rejects.toThrow('the disk is full')
    // A value that does not open was not read.
    broken = false
    await expect(secrets.open(sealed, 'certificates/2', reader)).rejects.toThrow('does not open')
    expect(await rows()).toHaveLength(2)
    await secrets.stop()
  })

  test('ten thousand agents that come back are a few rows within a second, and each of them is named', async () => {
    const reads = readsWith()
    const names = Array.from({ length: 10_000 }, () => `agent_keys/${newId()}`)
    for (const name of names) reads.note('agent_connection', name)
    reads.note('server_certificate', 'tls/server-key')
    await soon(21)
    const found = await collected()
    expect(found).toHaveLength(21)
    expect(found.flatMap(one => one.identities).sort()).toEqual([...names, 'tls/server-key'].sort())
    const [single] = (await rows()).filter(row => row.object_id !== null)
    expect(single).toMatchObject({ object_id: 'tls/server-key', principal_type: 'system', door: 'system' })
    await reads.stop()
    expect(await rows()).toHaveLength(21)
  })

  test('the same secret read again and again is named once, with how often', async () => {
    const reads = readsWith()
    for (let n = 0; n < 1_000; n++) reads.note('agent_connection', 'agent_keys/1')
    await reads.stop()
    expect(await collected()).toEqual([
      { purpose: 'agent_connection', reads: 1_000, identities: ['agent_keys/1'] },
    ])
  })

  test('what waits is written when the master stops', async () => {
    const reads = readsWith({ limits: { secret_reads_wait_ms: 3_600_000 } })
    reads.note('agent_connection', 'agent_keys/1')
    expect(await rows()).toHaveLength(0)
    await reads.stop()
    expect(await rows()).toHaveLength(1)
  })

  test('rows that cannot be written are an error in the log, wait within a bound, and say later what they left out', async () => {
    const real = openTestAudit(db)
    let broken = true
    const audit: AuditLog = {
      ...real,
      record: async (...event) => {
        if (broken) throw new Error('the disk is full')
        await real.record(...event)
      },
    }
    const reads = readsWith({
      audit,
      limits: { secret_reads_waiting: 5, secret_reads_per_row: 2, secret_reads_wait_ms: 5 },
    })
    for (let n = 0; n < 8; n++) reads.note('agent_connection', `agent_keys/${n}`)
    const deadline = Date.now() + 10_000
    while (logged.length < 2 && Date.now() < deadline) await Bun.sleep(5)
    expect(logged[0]).toContain('the disk is full')
    expect(logged[0]).not.toContain('agent_keys/')
    broken = false
    await soon(3)
    const found = await collected()
    expect(found.flatMap(one => one.identities).sort()).toEqual([0, 1, 2, 3, 4].map(n => `agent_keys/${n}`))
    expect(found.reduce((sum, one) => sum + (one.left_out ?? 0), 0)).toBe(3)
    await reads.stop()
  })
})
