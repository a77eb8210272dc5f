import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { forEachEngine } from '../database/testing.ts'
import { closeTestApps, codeOf, OWNER, openTestApp, type TestApp } from '../http/testing.ts'

afterAll(closeTestApps)

forEachEngine((_engine, open) => {
  describe('set-up', () => {
    let app: TestApp
    beforeAll(async () => {
      app = await openTestApp({ database: await open() })
    })
    const setUp = (setup_token: string, email: string) =>
      app.client().call('setup', { body: { setup_token, email, password: OWNER.password } })

    test('a wrong token is refused', async () => {
      expect(await codeOf(setUp(`nxi_${'A'.repeat(43)}`, 'x@example.com'))).toBe('SETUP_TOKEN_INVALID')
    })

    test('of two at once one wins, and it never re-opens, not even without users', async () => {
      const both = await Promise.all(
        ['a@example.com', 'b@example.com'].map(one => codeOf(setUp(app.setup_token, one))),
      )
      expect(both.filter(one => one === 'SETUP_CLOSED')).toHaveLength(1)
      expect(await app.database.read.selectFrom('users').select('id').execute()).toHaveLength(1)
      await app.database.write(async tx => void (await tx.deleteFrom('users').execute()))
      expect(await codeOf(setUp(app.setup_token, 'c@example.com'))).toBe('SETUP_CLOSED')
    })

    test('a stranger does not fill the audit log, nor keep the owner out', async () => {
      const on = await openTestApp({ database: await open() })
      const attempt = (setup_token: string) =>
        codeOf(on.client().call('setup', { body: { setup_token, ...OWNER } }))
      const codes = []
      for (let n = 0; n < 40; n++) codes.push(await attempt(`nxi_${'A'.repeat(43)}`))
      expect(new Set(codes)).toEqual(new Set(['SETUP_TOKEN_INVALID', 'RATE_LIMITED']))
      const rows = await on.database.read.selectFrom('audit_log').select('id').execute()
      expect(rows.length).toBeLessThan(20)
      expect(await attempt(on.setup_token)).toMatchObject({ succeeded: { data: { token_type: 'Bearer' } } })
    })

    test('the first organization and workspace are there, and every step is in the audit log', async () => {
      const workspaces = await app.database.read.selectFrom('workspaces').select(['slug', 'epoch']).execute()
      expect(workspaces).toEqual([{ slug: 'default', epoch: 1 }])
      const rows = await app.database.read
        .selectFrom('audit_log')
        .select(['action', 'result', 'door'])
        .orderBy('sequence')
        .execute()
      const told = rows.map(row => `${row.action} ${row.result} ${row.door}`)
      // The one who lost is told while the other's first token is made.
      expect([...told.slice(0, 5), ...told.slice(5).sort().reverse()]).toEqual([
        'setup.complete refused setup',
        'setup.complete ok setup',
        'organization.create ok setup',
        'workspace.create ok setup',
        'session.create ok setup',
        'signing_key.create ok system',
        'setup.complete refused setup',
        'setup.complete refused setup',
      ])
    })
  })

  describe('credentials', () => {
    let app: TestApp
    let token: string
    beforeAll(async () => {
      app = await openTestApp({ database: await open() })
      token = (await app.owner()).token
    })
    const login = (password: string, ip_address: string, email: string = OWNER.email) =>
      app.client(undefined, { ip_address }).call('login', { body: { email, password } })

    test('log in, ask who one is, log out', async () => {
      const { data } = await login(OWNER.password, '198.51.100.1')
      const client = app.client(data.token)
      expect((await client.call('me')).data).toMatchObject({
        email: OWNER.email,
        principal: { type: 'user' },
      })
      await client.call('logout')
      expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
      expect((await app.client(token).call('me')).data.email).toBe(OWNER.email)
    })

    test('a wrong password and an unknown e-mail get the same answer', async () => {
      const wrong = await login('not the password', '198.51.100.2').catch(error => error.message)
      const unknown = await login('not the password', '198.51.100.2', 'x@example.com').catch(
        error => error.message,
      )
      expect(wrong).toBe('E-mail or password is wrong')
      expect(unknown).toBe(wrong)
    })

    test('a guesser is slowed; the owner logs in from elsewhere all the while', async () => {
      const guesses = []
      for (let n = 0; n < 14; n++) guesses.push(await codeOf(login(`guess number ${n}`, '203.0.113.9')))
      expect(guesses.filter(code => code === 'INVALID_CREDENTIALS')).toHaveLength(10)
      expect(guesses.filter(code => code === 'RATE_LIMITED')).toHaveLength(4)
      expect((await login(OWNER.password, '198.51.100.3')).data.token_type).toBe('Bearer')
      app.clock.advance(60_000)
      expect(await codeOf(login('one more guess', '203.0.113.9'))).toBe('INVALID_CREDENTIALS')
    })

    test('an access token ends by itself after minutes', async () => {
      const { data } = await login(OWNER.password, '198.51.100.4')
      const until_end_ms = Date.parse(data.expires_at) - app.clock.now().getTime()
      expect(until_end_ms).toBeGreaterThan(14 * 60_000)
      expect(until_end_ms).toBeLessThanOrEqual(15 * 60_000)
      app.clock.advance(until_end_ms - 1_000)
      expect((await app.client(data.token).call('me')).data.email).toBe(OWNER.email)
      app.clock.advance(1_000)
      expect(await codeOf(app.client(data.token).call('me'))).toBe('UNAUTHENTICATED')
    })
  })

  describe('API keys', () => {
    let app: TestApp
    let owner: Awaited<ReturnType<TestApp['owner']>>
    beforeAll(async () => {
      app = await openTestApp({ database: await open() })
      owner = await app.owner()
    })
    const make = async (expires_at?: string) => {
      const { organization_id } = owner
      const body = {
        name: 'for scripts',
        role: 'operator',
        organization_id,
        expires_at: expires_at ?? null,
      } as const
      return (await owner.client.call('api_keys_create', { body })).data
    }

    test('a key is shown once, stored hashed, and has the permissions of its role', async () => {
      const key = await make()
      const { data: who } = await app.client(key.key).call('me')
      expect(who.principal).toEqual({ type: 'api_key', id: key.id })
      expect(who.permissions).toContain('config:deploy')
      expect(who.permissions).not.toContain('user:read')
      const { data } = await owner.client.call('api_keys_list', {})
      expect(JSON.stringify(data)).not.toContain(key.key)
      const stored = await app.database.read.selectFrom('api_keys').selectAll().execute()
      expect(JSON.stringify(stored)).not.toContain(key.key)
      const audited = await app.database.read.selectFrom('audit_log').selectAll().execute()
      expect(JSON.stringify(audited)).not.toContain(key.key)
    })

    test('a revoked key ends at once', async () => {
      const key = await make()
      const client = app.client(key.key)
      await client.call('me')
      await owner.client.call('api_keys_delete', { params: { id: key.id } })
      expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
      expect(await codeOf(owner.client.call('api_keys_delete', { params: { id: key.id } }))).toBe('NOT_FOUND')
    })

    test('a key ends at its time, and cannot end in the past', async () => {
      const key = await make(new Date(app.clock.now().getTime() + 10_000).toISOString())
      expect((await app.client(key.key).call('me')).data.name).toBe('for scripts')
      app.clock.advance(10_000)
      expect(await codeOf(app.client(key.key).call('me'))).toBe('UNAUTHENTICATED')
      expect(await codeOf(make('2020-01-01T00:00:00Z'))).toBe('VALIDATION_ERROR')
    })

    test('its last use is written down, at most once a minute', async () => {
      const key = await make()
      const used = async () => {
        const query = app.database.read.selectFrom('api_keys').select('last_used_at').where('id', '=', key.id)
        return (await query.executeTakeFirstOrThrow()).last_used_at
      }
      // Writes follow each other: when one of ours is done, those before it are.
      const written = () => app.database.write(async () => {})
      const first = app.clock.now().toISOString()
      await app.client(key.key).call('me')
      await written()
      expect(await used()).toBe(first)
      app.clock.advance(59_000)
      await app.client(key.key).call('me')
      await written()
      expect(await used()).toBe(first)
      app.clock.advance(1_000)
      await app.client(key.key).call('me')
      await written()
      expect(await used()).toBe(app.clock.now().toISOString())
    })

    test('a key cannot log out', async () => {
      const key = await make()
      expect(await codeOf(app.client(key.key).call('logout'))).toBe('CONFLICT')
    })
  })
})
