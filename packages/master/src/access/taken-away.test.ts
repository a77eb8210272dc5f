import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Client, LIMITS, ROLE_IDS } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { api, closeTestApps, codeOf, openTestApp, type TestApp } from '../http/testing.ts'
import { newId } from '../ids.ts'

afterAll(closeTestApps)

const PASSWORD = 'many different words 7'

/** What somebody prepares while they may, and uses when they may not any more. */
forEachEngine((_engine, open) => {
  let app: TestApp
  let owner: Awaited<ReturnType<TestApp['owner']>>
  let count = 0
  beforeAll(async () => {
    app = await openTestApp({ database: await open() })
    owner = await app.owner()
  })

  const at = () => ({ organization_id: owner.organization_id })
  const invite = async (role: string, by: Client = owner.client, email = `p${++count}@example.com`) =>
    (await by.call('invitations_create', { body: { email, role, ...at() } })).data.link.token
  const accept = (token: string) =>
    app
      .client(undefined, { ip_address: `198.51.100.${++count % 250}` })
      .call('accept_invitation', { body: { token, password: PASSWORD } })
  const person = async (role: string) => {
    const { data } = await accept(await invite(role))
    return { id: data.user.id, token: data.token, client: app.client(data.token) }
  }
  const bindingOf = async (user_id: string) =>
    (await owner.client.call('role_bindings_list', { query: { user_id } })).data[0]?.id ?? ''
  const demote = async (user_id: string) =>
    owner.client.call('role_bindings_delete', { params: { id: await bindingOf(user_id) } })
  const disable = (id: string, revoke_api_keys = false) =>
    owner.client.call('users_update', { params: { id }, body: { status: 'disabled', revoke_api_keys } })
  const reset = (token: string) =>
    codeOf(app.client().call('reset_password', { body: { token, password: 'another good one 8' } }))
  const linkFor = async (id: string, by: Client) =>
    (await by.call('users_reset_link', { params: { id } })).data.token
  const keyBy = async (client: Client, role = 'admin') =>
    (await client.call('api_keys_create', { body: { name: `k${++count}`, role, ...at() } })).data

  describe('an invitation', () => {
    test('is worth nothing when its maker may not invite there any more', async () => {
      const admin = await person('admin')
      const token = await invite('admin', admin.client)
      await demote(admin.id)
      expect(await codeOf(accept(token))).toBe('LINK_INVALID')
    })

    test('is worth nothing when the key that made it has ended', async () => {
      const { id, key } = await keyBy(owner.client)
      const [token, for_somebody] = [await invite('admin', app.client(key)), await invite('viewer')]
      const { client } = await person('viewer')
      await owner.client.call('api_keys_delete', { params: { id } })
      expect(await codeOf(accept(token))).toBe('LINK_INVALID')
      expect(await codeOf(client.call('me_accept_invitation', { body: { token } }))).toBe('LINK_INVALID')
      expect(await codeOf(accept(for_somebody))).toHaveProperty('succeeded')
    })
  })

  describe('a link for a new password', () => {
    test('is worth nothing when its maker is disabled', async () => {
      const [admin, victim] = [await person('admin'), await person('viewer')]
      const token = await linkFor(victim.id, admin.client)
      await disable(admin.id)
      expect(await reset(token)).toBe('LINK_INVALID')
      expect((await victim.client.call('me')).data.principal.id).toBe(victim.id)
    })

    test('is worth nothing when the account has risen above its maker', async () => {
      const [admin, rising] = [await person('admin'), await person('viewer')]
      const token = await linkFor(rising.id, admin.client)
      const body = { user_id: rising.id, role: 'owner', ...at() }
      await owner.client.call('role_bindings_create', { body })
      expect(await reset(token)).toBe('LINK_INVALID')
      expect(await reset(await linkFor(rising.id, owner.client))).toHaveProperty('succeeded')
    })
  })

  test('keys that keys made end with those of the account', async () => {
    const admin = await person('admin')
    const child = await keyBy(admin.client)
    const grandchild = await keyBy(app.client(child.key))
    const other = await keyBy(owner.client)
    await disable(admin.id, true)
    expect(await codeOf(app.client(child.key).call('me'))).toBe('UNAUTHENTICATED')
    expect(await codeOf(app.client(grandchild.key).call('me'))).toBe('UNAUTHENTICATED')
    expect((await app.client(other.key).call('me')).data.principal.id).toBe(other.id)
  })

  test.each([
    ['api_keys', 'some bytes'],
    ['reset-link', 'nothing'],
  ])('a request whose body was held back is refused: %s, %s', async (what, sent) => {
    const [admin, victim] = [await person('admin'), await person('viewer')]
    const [reading, revoked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const text = sent === 'nothing' ? '' : JSON.stringify({ name: 'kept', role: 'admin', ...at() })
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(stream) {
          // Asked for only behind the check of the credentials.
          reading.resolve()
          await revoked.promise
          if (text !== '') stream.enqueue(new TextEncoder().encode(text))
          stream.close()
        },
      },
      { highWaterMark: 0 },
    )
    const headers = { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' }
    const path = what === 'api_keys' ? '/api-keys' : `/users/${victim.id}/reset-link`
    const held = app.fetch(api(path), { method: 'POST', headers, body })
    await reading.promise
    await disable(admin.id)
    revoked.resolve()
    expect((await held).status).toBe(401)
    const keys = (await owner.client.call('api_keys_list', { query: { per_page: 200 } })).data
    expect(keys.map(one => one.name)).not.toContain('kept')
  })

  test('one organization that used up its keys and invitations leaves the others theirs', async () => {
    const { data: other } = await owner.client.call('organizations_create', {
      body: { name: 'Other', slug: `other-${++count}` },
    })
    const made = { created_by_type: 'user', created_by_id: null, created_at: '2026-01-01T00:00:00.000Z' }
    const place = { organization_id: other.id, workspace_id: null, role_id: ROLE_IDS.viewer }
    const fill = (size: number) =>
      Array.from({ length: size }, () => ({ ...made, ...place, id: newId(), name: 'x' }))
    const keys = fill(LIMITS.api_keys).map(row => ({
      ...row,
      prefix: 'nxk_',
      key_hash: row.id,
      expires_at: null,
      last_used_at: null,
    }))
    const invitations = fill(LIMITS.invitations).map(row => ({
      ...row,
      email: 'x@example.com',
      token_hash: row.id,
      expires_at: '2999-01-01T00:00:00.000Z',
    }))
    await app.database.write(async tx => {
      for (let at = 0; at < keys.length; at += 500)
        await tx
          .insertInto('api_keys')
          .values(keys.slice(at, at + 500))
          .execute()
      for (let at = 0; at < invitations.length; at += 500)
        await tx
          .insertInto('invitations')
          .values(invitations.slice(at, at + 500))
          .execute()
    })
    const there = { role: 'viewer', organization_id: other.id }
    const key = owner.client.call('api_keys_create', { body: { name: 'one more', ...there } })
    expect(await codeOf(key)).toBe('LIMIT_REACHED')
    const invitation = owner.client.call('invitations_create', {
      body: { email: 'one@example.com', ...there },
    })
    expect(await codeOf(invitation)).toBe('LIMIT_REACHED')
    expect((await keyBy(owner.client)).name).toStartWith('k')
    expect(await invite('viewer')).toStartWith('nxv_')
  })

  test('from where somebody comes is shown to nobody who keeps only a part of their places', async () => {
    const viewer = await person('viewer')
    const { organization_id, workspace_id } = owner
    const local = { name: 'local', role: 'admin', organization_id, workspace_id }
    const { key } = (await owner.client.call('api_keys_create', { body: local })).data
    const seen = (client: Client) => codeOf(client.call('user_sessions_list', { params: { id: viewer.id } }))
    const there = { user_id: viewer.id, role: 'viewer', organization_id, workspace_id }
    await owner.client.call('role_bindings_create', { body: there })
    expect((await app.client(key).call('users_get', { params: { id: viewer.id } })).data.id).toBe(viewer.id)
    expect(await seen(app.client(key))).toBe('FORBIDDEN')
    expect(await seen(owner.client)).toHaveProperty('succeeded')
  })
})
