import { beforeEach, expect, test } from 'bun:test'
import { sql } from 'kysely'
import { callerWith, openTestAccess } from '../access/testing.ts'
import type { Database, Tx } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import { newId } from '../ids.ts'
import { chainHash } from './audit-rules.ts'
import { makeAuditReader } from './audit-service.ts'
import { verifyLog } from './audit-verify.ts'
import { dropAuditTriggers, makeTestWorkspace, openTestAudit } from './testing.ts'

const caller = callerWith(['audit:read'])
const first_page = { page: 1, per_page: 20 }

forEachEngine((engine, open) => {
  let db: Database
  const audit = () => openTestAudit(db, () => new Date('2026-01-02T03:04:05.678Z'))
  const reader = () => makeAuditReader({ db, access: openTestAccess(db) })
  const record = (action: string) =>
    audit().record(caller, { action, object_type: 'thing', object_id: 'one' })
  beforeEach(async () => {
    db = await open()
  })

  test('who did what is listed newest first, with before and after, and filtered', async () => {
    const workspace_id = newId()
    await record('thing.create')
    await audit().record(caller, {
      action: 'thing.update',
      object_type: 'thing',
      workspace_id,
      result: 'refused',
      before: { a: 1 },
      after: { a: 2 },
    })
    const { items, total } = await reader().list(caller, first_page)
    expect(total).toBe(2)
    expect(items.map(one => [one.sequence, one.action])).toEqual([
      [2, 'thing.update'],
      [1, 'thing.create'],
    ])
    expect(items[0]).toMatchObject({
      principal: caller.principal,
      at: '2026-01-02T03:04:05.678Z',
      door: 'rest',
      ip_address: '192.0.2.1',
      result: 'refused',
      before: { a: 1 },
      after: { a: 2 },
    })
    expect((await reader().list(caller, { ...first_page, action: 'thing.create' })).total).toBe(1)
    expect((await reader().list(caller, { ...first_page, workspace_id })).total).toBe(1)
  })

  test('its pages are the same with a filter and without, to the end and beyond it', async () => {
    for (let n = 0; n < 7; n++) await record('thing.create')
    const pages = async (filter: { action?: string }) => {
      const found = []
      for (const page of [1, 2, 3, 4]) {
        const { items, total } = await reader().list(caller, { ...filter, page, per_page: 3 })
        found.push(`${items.map(one => one.sequence).join(' ')} of ${total}`)
      }
      return found
    }
    expect(await pages({})).toEqual(['7 6 5 of 7', '4 3 2 of 7', '1 of 7', ' of 7'])
    expect(await pages({ action: 'thing.create' })).toEqual(await pages({}))
  })

  test('it is refused without the permission', async () => {
    const stranger = { ...caller, grants: [], permissions: new Set<never>() }
    await expect(reader().list(stranger, first_page)).rejects.toThrow('audit:read')
  })

  test('a change that is undone leaves no record, and no gap', async () => {
    await record('one')
    const failing = db.write(async tx => {
      await audit().append(tx, caller, { action: 'two', object_type: 'thing' })
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    await record('three')
    const { items } = await reader().list(caller, first_page)
    expect(items.map(one => `${one.sequence} ${one.action}`)).toEqual(['2 three', '1 one'])
  })

  test('records written at the same time make one chain', async () => {
    await Promise.all(Array.from({ length: 30 }, (_, n) => record(`thing.${n}`)))
    expect(await reader().verify()).toMatchObject({ ok: true, head: { sequence: 30 } })
  })

  test('a record that someone changed, removed or put in is found', async () => {
    for (const action of ['one', 'two', 'three', 'four']) await record(action)
    const tampered = async (statement: { execute(tx: Tx): Promise<unknown> }) => {
      const rolled_back = new Error('done')
      let verdict: unknown
      const trial = db.write(async tx => {
        await dropAuditTriggers(tx, engine)
        await statement.execute(tx)
        verdict = await makeAuditReader({ db: { ...db, read: tx }, access: openTestAccess(db) }).verify()
        throw rolled_back
      })
      await expect(trial).rejects.toThrow('done')
      return verdict
    }
    expect(await tampered(sql`update audit_log set action = 'nothing' where sequence = 2`)).toEqual({
      ok: false,
      sequence: 2,
      reason: 'changed',
    })
    expect(await tampered(sql`delete from audit_log where sequence = 3`)).toMatchObject({
      sequence: 3,
      reason: 'missing',
    })
    expect(await tampered(sql`update audit_log set hash = 'x' where sequence = 4`)).toMatchObject({
      sequence: 4,
    })
    // Who can write hashes can make one row look right, but not without breaking the next.
    const { hash: _, ...second } = await db.read
      .selectFrom('audit_log')
      .selectAll()
      .where('sequence', '=', 2)
      .executeTakeFirstOrThrow()
    const first = await db.read
      .selectFrom('audit_log')
      .select('hash')
      .where('sequence', '=', 1)
      .executeTakeFirstOrThrow()
    const forged = chainHash(first.hash, { ...second, action: 'nothing' })
    expect(
      await tampered(sql`update audit_log set action = 'nothing', hash = ${forged} where sequence = 2`),
    ).toEqual({
      ok: false,
      sequence: 3,
      reason: 'changed',
    })
    expect(
      await tampered(sql`insert into audit_log select 5, 'copy', at, principal_type, principal_id, action, object_type,
      object_id, organization_id, workspace_id, door, ip_address, result, before_json, after_json, hash from audit_log where sequence = 4`),
    ).toEqual({
      ok: false,
      sequence: 5,
      reason: 'changed',
    })
    for (const [one, other] of [
      [2, 3],
      [1, 4],
    ] as const) {
      const swap = sql`update audit_log set sequence = case sequence when ${sql.lit(one)} then ${sql.lit(-other)} else ${sql.lit(-one)} end
        where sequence in (${sql.lit(one)}, ${sql.lit(other)})`
      const verdict = await tampered({
        execute: async (tx: Tx) => {
          await swap.execute(tx)
          await sql`update audit_log set sequence = -sequence where sequence < 0`.execute(tx)
        },
      })
      expect(verdict).toEqual({ ok: false, sequence: one, reason: 'out_of_order' })
    }
    expect(await reader().verify()).toMatchObject({ ok: true, head: { sequence: 4 } })
  })

  test('a value that is too large is kept as its size and hash', async () => {
    await audit().record(caller, {
      action: 'big',
      object_type: 'thing',
      after: { text: 'x'.repeat(300_000) },
    })
    const { items } = await reader().list(caller, first_page)
    expect(items[0]?.after).toMatchObject({ too_large: true, bytes: 300_011 })
  })

  test('rows that are cut off at the end, or a log written anew, are found by a head that was noted before', async () => {
    for (const action of ['one', 'two', 'three']) await record(action)
    const verdict = await verifyLog(db.read)
    if (!verdict.ok) throw new Error('broken')
    await record('four')
    expect(await verifyLog(db.read, verdict.head)).toMatchObject({ ok: true, head: { sequence: 4 } })
    await db.write(async tx => {
      await dropAuditTriggers(tx, engine)
      await sql`delete from audit_log where sequence > 2`.execute(tx)
    })
    expect(await verifyLog(db.read)).toMatchObject({ ok: true, head: { sequence: 2 } })
    expect(await verifyLog(db.read, verdict.head)).toEqual({ ok: false, sequence: 3, reason: 'cut_off' })
    await record('another three')
    expect(await verifyLog(db.read, verdict.head)).toEqual({ ok: false, sequence: 3, reason: 'rewritten' })
  })

  test('no row can be changed, removed or replaced, whoever asks', async () => {
    for (const action of ['one', 'two']) await record(action)
    const statements = [
      sql`update audit_log set action = 'nothing'`,
      sql`delete from audit_log`,
      sql`delete from audit_log where sequence = 2`,
      ...(engine === 'postgresql'
        ? [sql`truncate audit_log`]
        : [
            sql`insert or replace into audit_log select * from audit_log where sequence = 1`,
            sql`replace into audit_log select 3, id, at, principal_type, principal_id, action, object_type, object_id,
              organization_id, workspace_id, door, ip_address, result, before_json, after_json, hash from audit_log where sequence = 1`,
          ]),
    ]
    for (const statement of statements)
      await expect(db.write(tx => statement.execute(tx))).rejects.toThrow('append-only')
    expect(await reader().verify()).toMatchObject({ ok: true, head: { sequence: 2 } })
  })

  test('a row of a workspace is one of its organization, also when the workspace is gone', async () => {
    const { organization_id, workspace_id } = await makeTestWorkspace(db, 'acme')
    const log = audit()
    const event = { action: 'thing.create', object_type: 'thing', workspace_id }
    await log.record(caller, event)
    await db.write(
      async tx => void (await tx.deleteFrom('workspaces').where('id', '=', workspace_id).execute()),
    )
    await log.record(caller, event)
    await log.record(caller, { ...event, workspace_id: newId() })
    const { items } = await reader().list(caller, { ...first_page, action: 'thing.create' })
    expect(items.map(one => one.organization_id)).toEqual([null, organization_id, organization_id])
  })
})
