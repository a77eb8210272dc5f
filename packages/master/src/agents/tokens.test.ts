import { beforeAll, expect, test } from 'bun:test'
import { callerWith } from '../access/testing.ts'
import { forEachEngine } from '../database/testing.ts'
import { ada, codeOf, create, HOST, ONCE, type OpenedAgents, openAgents } from './testing.ts'

const PAGE = { page: 1, per_page: 50 }

forEachEngine((_engine, openDatabase) => {
  let on: OpenedAgents
  beforeAll(async () => {
    on = await openAgents(await openDatabase())
  })
  const register = (token: string, from = ada) => on.registration.register(from, { ...HOST, token })
  const make = (input = {}) => on.tokens.forWorkspace(ada, on.workspace_id, { ...ONCE, ...input })

  test('a hundred agents that come at once, from one address, with a token for a hundred all get in; the next does not', async () => {
    const { token } = await make({ max_uses: 100 })
    const names = await Promise.all(Array.from({ length: 100 }, async () => (await register(token)).name))
    expect(new Set(names).size).toBe(100)
    expect(await codeOf(register(token))).toBe('BOOTSTRAP_TOKEN_INVALID')
  })

  test('agents get the labels of their token, and only those that it makes', async () => {
    const { token } = await make({ max_uses: 2, labels: { env: 'prod', zone: 'a' } })
    const { agent_id } = await register(token)
    expect((await on.agents.get(ada, agent_id)).labels).toEqual({ env: 'prod', zone: 'a' })
    expect(await on.area.directory.agentOf(agent_id)).toMatchObject({ labels: { env: 'prod', zone: 'a' } })
    const { id } = await create(on, 'has its own', { env: 'test' })
    const own = await on.tokens.forAgent(ada, id, ONCE)
    await register(own.token)
    expect((await on.agents.get(ada, id)).labels).toEqual({ env: 'test' })
  })

  test('tokens are listed with what became of them, and without themselves', async () => {
    const other = await openAgents(await openDatabase())
    const make = (input: object) => other.tokens.forWorkspace(ada, other.workspace_id, { ...ONCE, ...input })
    const used = await make({ max_uses: 3, labels: { env: 'prod' } })
    await other.registration.register(ada, { ...HOST, token: used.token })
    other.clock.ms += 1_000
    const newer = await make({})
    const { items, total } = await other.tokens.list(ada, other.workspace_id, PAGE)
    expect(total).toBe(2)
    expect(items).toMatchObject([
      { id: newer.id, uses: 0, max_uses: 1, agent_id: null },
      { id: used.id, uses: 1, max_uses: 3, labels: { env: 'prod' }, created_by: ada.principal },
    ])
    expect(JSON.stringify(items)).not.toContain(used.token)
    expect(JSON.stringify(items)).not.toContain('hash')
  })

  test('a revoked token lets nobody in; who came with it stays; both changes are in the audit log', async () => {
    const { id, token } = await make({ max_uses: 2 })
    const { agent_id } = await register(token)
    await on.tokens.revoke(ada, on.workspace_id, id)
    expect(await codeOf(register(token))).toBe('BOOTSTRAP_TOKEN_INVALID')
    expect((await on.agents.get(ada, agent_id)).id).toBe(agent_id)
    for (const action of ['create', 'revoke']) {
      const rows = await on.auditRows(`bootstrap_token.${action}`)
      expect(rows.filter(row => row.object_id === id)).toHaveLength(1)
      expect(JSON.stringify(rows)).not.toContain(token)
    }
    expect(await codeOf(on.tokens.revoke(ada, on.workspace_id, id))).toBe('NOT_FOUND')
  })

  test('tokens are listed and revoked only by who may make them, and only in their workspace', async () => {
    const { id } = await make()
    const reader = callerWith(['agent:read'])
    expect(await codeOf(on.tokens.list(reader, on.workspace_id, PAGE))).toBe('FORBIDDEN')
    expect(await codeOf(on.tokens.revoke(reader, on.workspace_id, id))).toBe('FORBIDDEN')
    const { organization_id } = await on.db.read
      .selectFrom('workspaces')
      .select('organization_id')
      .executeTakeFirstOrThrow()
    const body = { organization_id, name: 'other', slug: 'other' }
    const other = (await on.tenancy_doors.workspaces_create({ caller: ada, body } as never)).body.data
    expect(await codeOf(on.tokens.revoke(ada, other.id, id))).toBe('NOT_FOUND')
    expect((await on.tokens.list(ada, other.id, PAGE)).total).toBe(0)
  })

  test('the join command pins the key of the master only where that was asked for', async () => {
    expect((await make()).join_command).not.toContain('pin')
    expect((await make({ pin_server_key: true })).join_command).toEndWith(' --server-key-pin sha256/pin=')
  })

  test('an allow-list holds at the registration: from elsewhere the token is refused, audited, and not used up', async () => {
    const { token, id } = await make()
    const patch = (agent_allowed_cidrs: string[] | null) =>
      on.tenancy_doors.workspaces_update({
        caller: ada,
        params: { id: on.workspace_id },
        body: { agent_allowed_cidrs },
      } as never)
    const inside = { ...ada, ip_address: '::ffff:198.51.100.7' }
    await patch([])
    expect(await codeOf(register(token, inside))).toBe('BOOTSTRAP_TOKEN_INVALID')
    await patch(['198.51.100.0/24'])
    expect(await codeOf(register(token))).toBe('BOOTSTRAP_TOKEN_INVALID')
    const { items } = await on.tokens.list(ada, on.workspace_id, PAGE)
    expect(items.find(one => one.id === id)?.uses).toBe(0)
    expect(await codeOf(register(token, inside))).toBe('ok')
    await patch(null)
    expect(await codeOf(register((await make()).token))).toBe('ok')
    const refused = await on.auditRows('agent.register_refused')
    expect(refused.map(row => JSON.parse(row.after_json ?? '').reason)).toContain('address_not_allowed')
  })
})
