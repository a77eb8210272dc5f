import { beforeAll, describe, expect, test } from 'bun:test'
import { callerWith } from '../access/testing.ts'
import { TEST_FACTS, TEST_POSITION } from '../channel/testing.ts'
import { afterCommit } from '../database/after-commit.ts'
import { forEachEngine } from '../database/testing.ts'
import { makePlaces } from '../tenancy/places.ts'
import { until } from '../testing-until.ts'
import { NO_CONFIG } from './agents-rules.ts'
import { makeDirectory } from './directory.ts'
import { ada, codeOf, create, HOST, ONCE, type OpenedAgents, openAgents } from './testing.ts'

forEachEngine((_engine, openDatabase) => {
  let on: OpenedAgents
  beforeAll(async () => {
    on = await openAgents(await openDatabase())
  })

  describe('an agent', () => {
    test('is pending until it connects, then online, then offline', async () => {
      const { id } = await create(on, 'life')
      expect(await on.agents.get(ada, id)).toMatchObject({ state: 'pending', last_seen_at: null })
      on.online.add(id)
      await on.area.listener.connected(id, TEST_FACTS, TEST_POSITION, '192.0.2.9')
      expect(await on.agents.get(ada, id)).toMatchObject({
        state: 'online',
        hostname: 'test-host',
        ip_address: '192.0.2.9',
        capabilities: ['http2'],
        nginx_version: '1.26.0',
        last_seen_at: '2026-11-01T00:00:00.000Z',
      })
      on.online.delete(id)
      expect((await on.agents.get(ada, id)).state).toBe('offline')
    })

    test('was last seen when it was seen, not when that was written down', async () => {
      const other = await openAgents(await openDatabase())
      const { id } = await create(other, 'early')
      await other.area.listener.connected(id, TEST_FACTS, TEST_POSITION, '192.0.2.9')
      other.clock.ms += 9_400
      const late = await create(other, 'late')
      await other.area.listener.connected(late.id, TEST_FACTS, TEST_POSITION, '192.0.2.9')
      other.clock.ms += 3_600_000
      await other.area.stop()
      const rows = await other.db.read.selectFrom('agents').select('last_seen_at').orderBy('name').execute()
      expect(rows.map(row => row.last_seen_at)).toEqual([
        '2026-11-01T00:00:00.000Z',
        '2026-11-01T00:00:09.000Z',
      ])
    })

    test('has a name of its own in the workspace', async () => {
      await create(on, 'twin')
      expect(await codeOf(create(on, 'twin'))).toBe('CONFLICT')
    })

    test('tells deployments when its labels change, and only then', async () => {
      const { id } = await create(on, 'labelled', { env: 'prod' })
      await on.agents.update(ada, id, { labels: { env: 'prod' } })
      await on.agents.update(ada, id, { name: 'renamed' })
      expect(on.relabelled).toEqual([])
      await on.agents.update(ada, id, { labels: { env: 'test' } })
      expect(on.relabelled).toEqual([id])
      expect(await on.area.directory.agentOf(id)).toMatchObject({ name: 'renamed', labels: { env: 'test' } })
    })

    test('that is deleted loses its key and its connection', async () => {
      const token = await on.tokens.forWorkspace(ada, on.workspace_id, ONCE)
      const { agent_id, key_id } = await on.registration.register(ada, { ...HOST, token: token.token })
      expect((await on.ring.find(agent_id, key_id)).state).toBe('live')
      await on.agents.remove(ada, agent_id)
      expect((await on.ring.find(agent_id, key_id)).state).toBe('unknown_agent')
      expect(on.cuts).toContain(agent_id)
      expect(await codeOf(on.agents.get(ada, agent_id))).toBe('NOT_FOUND')
      expect(await on.area.directory.workspaceOf(agent_id)).toBe(null)
    })

    test('is hidden from who may not read it, and kept from who may not change it', async () => {
      const { id } = await create(on, 'guarded')
      const reader = callerWith(['agent:read'])
      expect(await codeOf(on.agents.get(callerWith([]), id))).toBe('NOT_FOUND')
      expect(await codeOf(on.agents.update(reader, id, { name: 'x' }))).toBe('FORBIDDEN')
      expect(await codeOf(on.agents.remove(reader, id))).toBe('FORBIDDEN')
      expect(await codeOf(on.tokens.forAgent(reader, id, ONCE))).toBe('FORBIDDEN')
    })

    test('without a hold has none to lift', async () => {
      const { id } = await create(on, 'no hold')
      expect(await codeOf(on.agents.liftHold(ada, id))).toBe('CONFLICT')
    })

    test('that is away keeps its hold, and the audit log does not say otherwise', async () => {
      const { id } = await create(on, 'held')
      on.configs.set(id, { ...NO_CONFIG, hold: { since: '2026-11-01T00:00:00.000Z', reason: 'by hand' } })
      expect(await codeOf(on.agents.liftHold(ada, id))).toBe('CONFLICT')
      expect(await on.auditRows('agent.lift_hold')).toEqual([])
      on.online.add(id)
      expect(await codeOf(on.agents.liftHold(ada, id))).toBe('ok')
      expect(await on.auditRows('agent.lift_hold')).toHaveLength(1)
    })
  })

  describe('a bootstrap token', () => {
    test('comes with the command to run, and is stored hashed', async () => {
      const made = await on.tokens.forWorkspace(ada, on.workspace_id, ONCE)
      expect(made.token).toMatch(/^nxb_[A-Za-z0-9_-]{43}$/)
      expect(made.join_command).toBe(
        `nxmesh-agent join --master-url https://master.test:8443 --token ${made.token} --ca-fingerprint ${'ab'.repeat(32)}`,
      )
      const rows = JSON.stringify(await on.db.read.selectFrom('bootstrap_tokens').selectAll().execute())
      const audit = JSON.stringify(await on.auditRows('bootstrap_token.create'))
      expect(rows + audit).not.toContain(made.token)
    })

    test('works once', async () => {
      const { token } = await on.tokens.forWorkspace(ada, on.workspace_id, ONCE)
      expect(await codeOf(on.registration.register(ada, { ...HOST, token }))).toBe('ok')
      expect(await codeOf(on.registration.register(ada, { ...HOST, token }))).toBe('BOOTSTRAP_TOKEN_INVALID')
    })

    test('for one use lets one of two racing registrations in', async () => {
      const { token } = await on.tokens.forWorkspace(ada, on.workspace_id, ONCE)
      const outcomes = await Promise.all(
        [1, 2, 3, 4].map(() => codeOf(on.registration.register(ada, { ...HOST, token }))),
      )
      expect(outcomes.sort()).toEqual([...Array(3).fill('BOOTSTRAP_TOKEN_INVALID'), 'ok'])
    })

    test('ends at its time, and the refusal is audited', async () => {
      const { token } = await on.tokens.forWorkspace(ada, on.workspace_id, { expires_in_h: 1, max_uses: 5 })
      on.clock.ms += 3_600_000
      expect(await codeOf(on.registration.register(ada, { ...HOST, token }))).toBe('BOOTSTRAP_TOKEN_INVALID')
      await until('the refusal to be audited', async () => {
        const rows = await on.auditRows('agent.register_refused')
        return rows.some(row => JSON.parse(row.after_json ?? '{}').reason === 'expired_token')
      })
    })

    test('of a workspace names new agents after their hosts, each differently', async () => {
      const { token } = await on.tokens.forWorkspace(ada, on.workspace_id, { expires_in_h: 1, max_uses: 3 })
      const host = { hostname: 'same-host', version: '0.1.0', token }
      const names = []
      for (let n = 0; n < 3; n++) names.push((await on.registration.register(ada, host)).name)
      expect(names).toEqual(['same-host', 'same-host-2', 'same-host-3'])
    })

    test('of an agent gives it a new key, and the old one ends', async () => {
      const { id } = await create(on, 'rejoins')
      const first = await on.tokens.forAgent(ada, id, ONCE)
      const one = await on.registration.register(ada, { ...HOST, token: first.token })
      expect(one).toMatchObject({ agent_id: id, name: 'rejoins' })
      expect((await on.ring.find(id, one.key_id)).state).toBe('live')
      const second = await on.tokens.forAgent(ada, id, ONCE)
      const two = await on.registration.register(ada, { ...HOST, token: second.token })
      expect((await on.ring.find(id, one.key_id)).state).toBe('key_not_live')
      const found = await on.ring.find(id, two.key_id)
      expect(found.state === 'live' && Buffer.from(found.session_key).toString('base64url')).toBe(
        two.session_key,
      )
      expect(on.cuts).toContain(id)
    })

    test('is not guessed for long from one address, while others register', async () => {
      const stranger = { ...ada, ip_address: '203.0.113.7' }
      const guess = () =>
        codeOf(on.registration.register(stranger, { ...HOST, token: 'nxb_0123456789abcdef' }))
      const outcomes = []
      for (let n = 0; n < 25; n++) outcomes.push(await guess())
      expect(outcomes.at(0)).toBe('BOOTSTRAP_TOKEN_INVALID')
      expect(outcomes.at(-1)).toBe('RATE_LIMITED')
      const { token } = await on.tokens.forWorkspace(ada, on.workspace_id, ONCE)
      expect(await codeOf(on.registration.register(ada, { ...HOST, token }))).toBe('ok')
    })
  })

  test('a session key is not readable in the database', async () => {
    const { token } = await on.tokens.forWorkspace(ada, on.workspace_id, ONCE)
    const { session_key } = await on.registration.register(ada, { ...HOST, token })
    expect(JSON.stringify(await on.db.read.selectFrom('agent_keys').selectAll().execute())).not.toContain(
      session_key,
    )
  })

  test('the directory sees a change that is committed while a workspace is being read', async () => {
    const { id } = await create(on, 'read meanwhile')
    const fresh = makeDirectory({ db: on.db, places: makePlaces(on.db), isOnline: () => false })
    const row = await on.db.read
      .selectFrom('agents')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const reading = fresh.agentsOf(on.workspace_id)
    fresh.put({ ...row, labels_json: '{"env":"new"}' })
    expect((await reading).find(agent => agent.id === id)?.labels).toEqual({ env: 'new' })
    expect((await fresh.agentOf(id))?.labels).toEqual({ env: 'new' })
  })

  test('agents of a deleted workspace are nobody’s, also while their rows are there', async () => {
    const there = await openAgents(await openDatabase())
    const { workspace_id, contents, ring: keys } = there
    const { token } = await there.tokens.forWorkspace(ada, workspace_id, { ...ONCE, max_uses: 2 })
    const made = await there.registration.register(ada, { ...HOST, token })
    there.online.add(made.agent_id)
    expect((await keys.find(made.agent_id, made.key_id)).state).toBe('live')
    expect(await there.area.directory.agentsOf(workspace_id)).toHaveLength(1)

    const of = { organization_id: null, workspace_ids: [workspace_id] }
    expect(await contents.count(there.db.read, of)).toEqual([
      { field: 'agents', count: 1, note: '1 of them connected' },
      { field: 'bootstrap_tokens', count: 1 },
    ])
    await there.db.write(async tx => {
      await contents.close?.(tx, of)
      const deleted_at = '2026-11-01T00:00:00.000Z'
      await tx.updateTable('workspaces').set({ deleted_at }).where('id', '=', workspace_id).execute()
      afterCommit(tx, () => there.places.forgetWorkspace(workspace_id))
    })
    expect(there.cuts).toContain(made.agent_id)
    expect((await keys.find(made.agent_id, made.key_id)).state).toBe('unknown_agent')
    expect(await there.area.directory.agentsOf(workspace_id)).toEqual([])
    expect(await there.area.directory.workspaceOf(made.agent_id)).toBeNull()
    expect(await codeOf(there.registration.register(ada, { ...HOST, token }))).toBe('BOOTSTRAP_TOKEN_INVALID')
    expect(await there.db.write(async tx => await contents.purge?.(tx, workspace_id, 10))).toBe(1)
  })

  test('times of last contact reach the database together', async () => {
    const { id } = await create(on, 'seen')
    await on.area.listener.connected(id, TEST_FACTS, TEST_POSITION, '192.0.2.9')
    await on.area.stop()
    const row = await on.db.read
      .selectFrom('agents')
      .select('last_seen_at')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    expect(row.last_seen_at).toBe(new Date(on.clock.ms).toISOString())
  })
})
