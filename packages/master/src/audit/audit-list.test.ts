import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { LIMITS, type Permission } from '@nxmesh/contract'
import { sql } from 'kysely'
import type { Caller, Grant } from '../access/caller.ts'
import { EVERYWHERE } from '../access/reach-query.ts'
import { callerWith, openTestAccess } from '../access/testing.ts'
import type { Database } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import { api, closeTestApps, codeOf, openTestApp, refusal } from '../http/testing.ts'
import { newId } from '../ids.ts'
import { auditRoutes } from './audit-routes.ts'
import { searchLog } from './audit-search.ts'
import { makeAuditReader } from './audit-service.ts'
import { makeTestWorkspace, openTestAudit } from './testing.ts'

afterAll(closeTestApps)

const READ: readonly Permission[] = ['audit:read']
const first_page = { page: 1, per_page: 50 }
type Where = Pick<Grant, 'organization_id' | 'workspace_id'>
const at = (where: Where, permissions: readonly Permission[] = READ): Caller => {
  const granted = new Set(permissions)
  return { ...callerWith(permissions), grants: [{ ...where, role_id: newId(), permissions: granted }] }
}

forEachEngine((_engine, open) => {
  let db: Database
  let acme: Awaited<ReturnType<typeof makeTestWorkspace>>
  let other: Awaited<ReturnType<typeof makeTestWorkspace>>
  const ada = callerWith(['audit:read'])
  const agent: Caller = {
    ...ada,
    principal: { type: 'agent', id: newId() },
    door: 'channel',
    ip_address: '2001:db8::1',
  }
  const list = (caller: Caller, query: object = {}) =>
    makeAuditReader({ db, access: openTestAccess(db) }).list(caller, { ...first_page, ...query })
  const actions = async (caller: Caller, query: object = {}) =>
    (await list(caller, query)).items.map(one => one.action)

  beforeAll(async () => {
    db = await open()
    acme = await makeTestWorkspace(db, 'acme')
    other = await makeTestWorkspace(db, 'other')
    const times = ['2026-01-01T00:00:00.000Z', '2026-02-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z']
    let row = 0
    const log = openTestAudit(db, () => new Date(times[Math.min(row++, 2)] ?? 0))
    const thing = { object_type: 'thing', object_id: 'one' }
    await log.record(ada, { ...thing, action: 'instance.start' })
    await log.record(ada, { ...thing, action: 'agent.create', workspace_id: acme.workspace_id })
    await log.record(agent, {
      action: 'agent.refused',
      object_type: 'agent',
      object_id: 'two',
      result: 'refused',
      workspace_id: acme.workspace_id,
    })
    await log.record(ada, { ...thing, action: 'agents.count', organization_id: acme.organization_id })
    await log.record(ada, { ...thing, action: 'agent.create', workspace_id: other.workspace_id })
  })

  test('each filter shows what it names and nothing else, and together they narrow', async () => {
    const all = ['agent.create', 'agents.count', 'agent.refused', 'agent.create', 'instance.start']
    expect(await actions(ada)).toEqual(all)
    const cases: [object, string[]][] = [
      [{ workspace_id: acme.workspace_id }, ['agent.refused', 'agent.create']],
      [{ organization_id: acme.organization_id }, ['agents.count', 'agent.refused', 'agent.create']],
      [{ action: 'agent.create' }, ['agent.create', 'agent.create']],
      [{ action: 'agent.' }, ['agent.create', 'agent.refused', 'agent.create']],
      [{ action: 'agent' }, []],
      [{ principal_type: 'agent' }, ['agent.refused']],
      [{ principal_id: agent.principal.id }, ['agent.refused']],
      [{ object_type: 'agent' }, ['agent.refused']],
      [{ object_id: 'two' }, ['agent.refused']],
      [{ door: 'channel' }, ['agent.refused']],
      [{ result: 'refused' }, ['agent.refused']],
      [{ ip_address: '2001:db8::1' }, ['agent.refused']],
      [{ from: '2026-02-01T00:00:00Z', to: '2026-03-01T00:00:00Z' }, ['agent.create']],
      [{ from: '2026-02-01T01:00:00+01:00', to: '2026-02-01T01:00:00.001+01:00' }, ['agent.create']],
      [{ to: '2026-02-01T00:00:00Z' }, ['instance.start']],
      [{ action: 'agent.', result: 'ok', workspace_id: other.workspace_id }, ['agent.create']],
    ]
    for (const [query, expected] of cases) expect(await actions(ada, query)).toEqual(expected)
  })

  test('who reads an organization or a workspace sees its rows only', async () => {
    const organization = at({ organization_id: acme.organization_id, workspace_id: null })
    expect(await actions(organization)).toEqual(['agents.count', 'agent.refused', 'agent.create'])
    const workspace = at(acme)
    expect(await actions(workspace)).toEqual(['agent.refused', 'agent.create'])
    expect(await actions(workspace, { organization_id: acme.organization_id })).toEqual([
      'agent.refused',
      'agent.create',
    ])
    expect((await list(workspace, { action: 'agent.create' })).total).toBe(1)
  })

  test('strangers’ workspaces and organizations are not there; one’s own without the permission is forbidden', async () => {
    for (const caller of [at(acme), at({ ...acme, workspace_id: null })]) {
      expect(await codeOf(list(caller, { workspace_id: other.workspace_id }))).toBe('NOT_FOUND')
      expect(await codeOf(list(caller, { organization_id: other.organization_id }))).toBe('NOT_FOUND')
    }
    const reader: Caller = { ...at(acme, ['agent:read']), permissions: new Set(['agent:read']) }
    expect(await codeOf(list(reader, { workspace_id: acme.workspace_id }))).toBe('FORBIDDEN')
    expect(await codeOf(list(reader))).toBe('FORBIDDEN')
  })

  test('an organization’s reader sees what was told of a workspace that is gone, a stranger does not', async () => {
    const gone = await makeTestWorkspace(db, 'gone')
    await openTestAudit(db).record(ada, {
      action: 'gone.create',
      object_type: 'x',
      workspace_id: gone.workspace_id,
    })
    await db.write(
      async tx => void (await tx.deleteFrom('workspaces').where('id', '=', gone.workspace_id).execute()),
    )
    const { workspace_id } = gone
    expect(await actions(at({ ...gone, workspace_id: null }), { workspace_id })).toEqual(['gone.create'])
    expect(await codeOf(list(at({ ...acme, workspace_id: null }), { workspace_id }))).toBe('NOT_FOUND')
  })

  test('looking through in small pieces finds the same', async () => {
    const wanted = { filter: { actions: ['agent.create'] }, reach: EVERYWHERE }
    const whole = await searchLog(db.read, wanted)
    expect(whole).toHaveLength(2)
    for (const piece of [1, 2, 3]) expect(await searchLog(db.read, wanted, piece)).toEqual(whole)
  })

  describe('of a long log', () => {
    let long: Database
    const ROWS = LIMITS.audit_rows_counted + 500
    beforeAll(async () => {
      long = await open()
      await long.write(async tx => {
        await sql`insert into audit_log
          with recursive n(i) as (select 1 union all select i + 1 from n where i < ${sql.lit(ROWS)})
          select i, 'row-' || i, '2026-01-01T00:00:00.000Z', 'user', null, 'thing.create', 'thing', null, null, null,
            'rest', null, 'ok', null, null, 'h' from n`.execute(tx)
      })
    })
    const page = (number: number, query: object = {}) =>
      makeAuditReader({ db: long, access: openTestAccess(long) }).list(ada, {
        page: number,
        per_page: 100,
        ...query,
      })

    test('a filter counts to the bound, and beyond it says how to go on', async () => {
      const last = LIMITS.audit_rows_counted / 100
      const found = await page(last, { door: 'rest' })
      expect(found.total).toBe(LIMITS.audit_rows_counted)
      expect(found.items.at(-1)?.sequence).toBe(501)
      await expect(page(last + 1, { door: 'rest' })).rejects.toThrow('ends after')
    })
    test('without a filter its end is reached', async () => {
      const found = await page(Math.ceil(ROWS / 100))
      expect([found.total, found.items.at(-1)?.sequence]).toEqual([ROWS, 1])
    })
  })
})

test('a filter that cannot be is refused by its name', async () => {
  const app = await openTestApp({
    routes: auditRoutes({
      list: async () => ({ items: [], total: 0 }),
      verify: async () => ({ ok: true, head: { sequence: 0, hash: '' } }),
    }),
  })
  const { token } = await app.owner()
  const get = (query: string) =>
    app.fetch(api(`/audit-log?${query}`), { headers: { authorization: `Bearer ${token}` } })
  const wrong = {
    action: "agent.%25' or 1=1",
    door: 'window',
    result: 'maybe',
    principal_type: 'root',
    from: 'yesterday',
    to: '9999-12-31T23:59:59-01:00',
    workspace_id: 'all',
    nonsense: '1',
  }
  for (const [field, value] of Object.entries(wrong))
    expect(await refusal(get(`${field}=${value}`))).toMatchObject({ code: 'VALIDATION_ERROR' })
  expect((await get('action=agent.&from=2026-01-01T00:00:00%2B02:00&door=command')).status).toBe(200)
})
