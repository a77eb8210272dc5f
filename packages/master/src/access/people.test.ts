import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Client, type Permission, ROLE_IDS } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { closeTestApps, codeOf, OWNER, openTestApp, type TestApp } from '../http/testing.ts'

afterAll(closeTestApps)

const PASSWORD = 'many different words 7'

forEachEngine((_engine, open) => {
  let app: TestApp
  let owner: Awaited<ReturnType<TestApp['owner']>>
  let count = 0
  beforeAll(async () => {
    app = await openTestApp({ database: await open() })
    owner = await app.owner()
  })

  type Place = { organization_id?: string | null; workspace_id?: string | null }
  const placed = (place: Place) => ({ organization_id: owner.organization_id, workspace_id: null, ...place })
  const invite = (email: string, role: string, place: Place = {}, by: Client = owner.client) =>
    by.call('invitations_create', { body: { email, role, ...placed(place) } })
  /** Somebody new with this role. */
  const person = async (role: string, place: Place = {}, by: Client = owner.client) => {
    const email = `person${++count}@example.com`
    const { data } = await invite(email, role, place, by)
    const made = await app.client().call('accept_invitation', {
      body: { token: data.link.token, password: PASSWORD },
    })
    return { email, id: made.data.user.id, client: app.client(made.data.token), token: made.data.token }
  }
  const customRole = async (permissions: Permission[]) => {
    const body = { organization_id: owner.organization_id, name: `role ${++count}`, permissions }
    return (await owner.client.call('roles_create', { body })).data.id
  }
  const login = (email: string, password: string) =>
    app.client(undefined, { ip_address: `198.51.100.${++count % 250}` }).call('login', {
      body: { email, password },
    })
  const actions = async () =>
    (await app.database.read.selectFrom('audit_log').select('action').execute()).map(row => row.action)

  describe('an invitation', () => {
    test('makes an account with the role, once; the link is stored nowhere', async () => {
      const { data } = await invite('new@example.com', 'operator')
      const { token } = data.link
      expect(data.link.url).toBe(`https://master.test:8443/accept-invitation#${token}`)
      const accept = () =>
        app.client().call('accept_invitation', { body: { token, password: PASSWORD, name: 'New' } })
      const made = (await accept()).data
      expect(made.user).toMatchObject({ email: 'new@example.com', name: 'New', status: 'active' })
      const me = (await app.client(made.token).call('me')).data
      expect(me.grants).toMatchObject([
        {
          organization_id: owner.organization_id,
          workspace_id: null,
          role_id: ROLE_IDS.operator,
          role_name: 'operator',
        },
      ])
      expect(await codeOf(accept())).toBe('LINK_INVALID')
      const tables = ['invitations', 'audit_log', 'users'] as const
      for (const table of tables)
        expect(JSON.stringify(await app.database.read.selectFrom(table).selectAll().execute())).not.toContain(
          token,
        )
      expect((await login('new@example.com', PASSWORD)).data.user.name).toBe('New')
    })

    test('of two that use it at once one gets the account', async () => {
      const { data } = await invite('race@example.com', 'viewer')
      const body = { token: data.link.token, password: PASSWORD }
      const both = await Promise.all(
        [1, 2].map(() => codeOf(app.client().call('accept_invitation', { body }))),
      )
      expect(both.filter(one => typeof one === 'string')).toHaveLength(1)
    })

    test('ends after its time, when it is withdrawn, and when a new one replaces it', async () => {
      const first = (await invite('late@example.com', 'viewer')).data
      const second = (await invite('late@example.com', 'viewer')).data
      const accept = (token: string) =>
        codeOf(app.client().call('accept_invitation', { body: { token, password: PASSWORD } }))
      expect(await accept(first.link.token)).toBe('LINK_INVALID')
      await owner.client.call('invitations_delete', { params: { id: second.id } })
      expect(await accept(second.link.token)).toBe('LINK_INVALID')
      expect(await actions()).toContain('invitation.delete')
    })

    test('gives an account that exists another role, if it is for its e-mail', async () => {
      const { client, email } = await person('viewer', { workspace_id: owner.workspace_id })
      const { data } = await invite(email, 'operator')
      const token = data.link.token
      const as_new = app.client().call('accept_invitation', { body: { token, password: PASSWORD } })
      expect(await codeOf(as_new)).toBe('CONFLICT')
      const other = await person('viewer')
      expect(await codeOf(other.client.call('me_accept_invitation', { body: { token } }))).toBe('CONFLICT')
      const me = (await client.call('me_accept_invitation', { body: { token } })).data
      expect(me.permissions).toContain('config:write')
      expect((await client.call('me')).data.permissions).toContain('config:write')
    })

    test('nobody invites to more than they may do, nor to what does not fit', async () => {
      const admin = await person('admin')
      expect(await codeOf(invite('up@example.com', 'owner', {}, admin.client))).toBe('FORBIDDEN')
      const instance = invite('up@example.com', 'instance_admin', { organization_id: null }, admin.client)
      expect(await codeOf(instance)).toBe('FORBIDDEN')
      expect(await codeOf(invite('up@example.com', 'instance_admin'))).toBe('VALIDATION_ERROR')
      expect(await codeOf(invite('up@example.com', 'owner', { organization_id: null }))).toBe(
        'VALIDATION_ERROR',
      )
      const missing = '01900000-0000-7000-8000-000000000000'
      expect(await codeOf(invite('up@example.com', missing))).toBe('VALIDATION_ERROR')
      expect(await codeOf(invite('up@example.com', 'viewer', { workspace_id: missing }))).toBe('NOT_FOUND')
      const local = await person('admin', { workspace_id: owner.workspace_id })
      expect(await codeOf(invite('up@example.com', 'viewer', {}, local.client))).toBe('FORBIDDEN')
    })
  })

  describe('a password', () => {
    test.each([
      ['too short', 'elevenchars'],
      ['one that guessers try first', '1qaz2wsx3edc'],
      ['a common word with the usual end', 'Password2026!'],
      ['a common word twice', 'sunshinesunshine'],
      ['one character over and over', 'aaaaaaaaaaaa'],
      ['the e-mail', 'weak@example.com'],
    ])('is not %s', async (_what, password) => {
      const { data } = await invite('weak@example.com', 'viewer')
      const body = { token: data.link.token, password }
      expect(await codeOf(app.client().call('accept_invitation', { body }))).toBe('VALIDATION_ERROR')
      const users = await app.database.read.selectFrom('users').select('email').execute()
      expect(users.map(row => row.email)).not.toContain('weak@example.com')
    })

    test('is changed by its owner, who must know the old one; the other sessions end', async () => {
      const { client, email } = await person('viewer')
      const elsewhere = app.client((await login(email, PASSWORD)).data.token)
      const change = (current_password: string, new_password: string) =>
        codeOf(client.call('me_password', { body: { current_password, new_password } }))
      expect(await change('not the password', 'another good one 8')).toBe('INVALID_CREDENTIALS')
      expect(await change(PASSWORD, 'Password2026!')).toBe('VALIDATION_ERROR')
      expect(await change(PASSWORD, 'another good one 8')).toEqual({ succeeded: undefined })
      expect(await codeOf(elsewhere.call('me'))).toBe('UNAUTHENTICATED')
      expect((await client.call('me')).data.email).toBe(email)
      expect(await codeOf(login(email, PASSWORD))).toBe('INVALID_CREDENTIALS')
      expect((await login(email, 'another good one 8')).data.user.email).toBe(email)
    })

    test('is reset by a one-time link; every session of before ends', async () => {
      const { client, id, email } = await person('viewer')
      const link = async () => (await owner.client.call('users_reset_link', { params: { id } })).data
      const [older, newer] = [await link(), await link()]
      const reset = (token: string, password = 'reset to this one 9') =>
        codeOf(app.client().call('reset_password', { body: { token, password } }))
      expect(await reset(older.token)).toBe('LINK_INVALID')
      expect(await reset(newer.token, 'aaaaaaaaaaaa')).toBe('VALIDATION_ERROR')
      expect(await reset(newer.token)).toMatchObject({ succeeded: { data: { user: { email } } } })
      expect(await reset(newer.token)).toBe('LINK_INVALID')
      expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
      const late = await link()
      app.clock.advance(24 * 3_600_000)
      owner = { ...owner, client: app.client((await login(OWNER.email, OWNER.password)).data.token) }
      expect(await reset(late.token)).toBe('LINK_INVALID')
    })
  })

  describe('a user', () => {
    test('who is disabled is out at once, and comes back when enabled', async () => {
      const { client, id, email } = await person('operator')
      expect((await client.call('me')).data.principal.id).toBe(id)
      await owner.client.call('users_update', { params: { id }, body: { status: 'disabled' } })
      expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
      expect(await codeOf(login(email, PASSWORD))).toBe('INVALID_CREDENTIALS')
      expect(await codeOf(owner.client.call('users_reset_link', { params: { id } }))).toBe('CONFLICT')
      await owner.client.call('users_update', { params: { id }, body: { status: 'active' } })
      expect((await login(email, PASSWORD)).data.user.status).toBe('active')
    })

    test('whose keys shall end with the account takes them along', async () => {
      const admin = await person('admin')
      const { organization_id } = owner
      const body = { name: 'theirs', role: 'viewer', organization_id } as const
      const { key } = (await admin.client.call('api_keys_create', { body })).data
      const disable = (revoke_api_keys: boolean) =>
        owner.client.call('users_update', {
          params: { id: admin.id },
          body: { status: 'disabled', revoke_api_keys },
        })
      await disable(false)
      expect((await app.client(key).call('me')).data.name).toBe('theirs')
      await disable(true)
      expect(await codeOf(app.client(key).call('me'))).toBe('UNAUTHENTICATED')
    })

    test('who is deleted leaves the keys of programs working, or takes them along', async () => {
      const { organization_id } = owner
      const body = { name: 'theirs', role: 'viewer', organization_id } as const
      const leaving = async (revoke_api_keys: 'true' | 'false') => {
        const admin = await person('admin')
        const { key } = (await admin.client.call('api_keys_create', { body })).data
        await owner.client.call('users_delete', { params: { id: admin.id }, query: { revoke_api_keys } })
        return await codeOf(app.client(key).call('me'))
      }
      expect(await leaving('false')).toMatchObject({ succeeded: { data: { name: 'theirs' } } })
      expect(await leaving('true')).toBe('UNAUTHENTICATED')
    })

    test('is changed by nobody below, and by nobody who keeps only a part of the places', async () => {
      const admin = await person('admin')
      const second_owner = await person('owner')
      const params = { id: second_owner.id }
      for (const attempt of [
        () => admin.client.call('users_reset_link', { params }),
        () => admin.client.call('users_update', { params, body: { status: 'disabled' } }),
        () => admin.client.call('users_delete', { params }),
      ])
        expect(await codeOf(attempt())).toBe('FORBIDDEN')
      const local = await person('admin', { workspace_id: owner.workspace_id })
      const viewer = await person('viewer')
      const there = { params: { id: viewer.id } }
      expect(await codeOf(local.client.call('users_reset_link', there))).toBe('NOT_FOUND')
    })

    test('who is the last owner or administrator stays, and nobody shuts themselves out', async () => {
      const me = (await owner.client.call('me')).data.principal.id ?? ''
      const second = await person('instance_admin', { organization_id: null })
      const disable = (by: Client, id: string) =>
        codeOf(by.call('users_update', { params: { id }, body: { status: 'disabled' } }))
      expect(await disable(owner.client, me)).toBe('CONFLICT')
      const owners = await owner.client.call('role_bindings_list', { query: { per_page: 200 } })
      for (const one of owners.data)
        if (one.role_name === 'owner' && one.user_id !== me)
          await owner.client.call('role_bindings_delete', { params: { id: one.id } })
      expect(await disable(second.client, me)).toBe('CONFLICT')
      const last = owners.data.find(one => one.role_name === 'owner' && one.user_id === me)
      const unseat = owner.client.call('role_bindings_delete', { params: { id: last?.id ?? '' } })
      expect(await codeOf(unseat)).toBe('CONFLICT')
    })

    test('sees the own sessions, and ends one; an administrator ends another’s', async () => {
      const { client, id, email } = await person('viewer')
      const other = (await login(email, PASSWORD)).data
      const listed = (await client.call('me_sessions_list')).data
      expect(listed.map(one => one.method).sort()).toEqual(['invitation', 'password'])
      expect(listed.filter(one => one.current)).toHaveLength(1)
      await client.call('me_sessions_delete', { params: { id: other.session_id } })
      expect(await codeOf(app.client(other.token).call('me'))).toBe('UNAUTHENTICATED')
      const mine = listed.find(one => one.current)?.id ?? ''
      const stranger = await person('viewer')
      expect(await codeOf(stranger.client.call('me_sessions_delete', { params: { id: mine } }))).toBe(
        'NOT_FOUND',
      )
      await owner.client.call('user_sessions_delete', { params: { id, session_id: mine } })
      expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
    })

    test('that is deleted is gone with roles and sessions; the audit log remembers', async () => {
      const { client, id, email } = await person('viewer')
      await owner.client.call('users_delete', { params: { id } })
      expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
      expect(await codeOf(owner.client.call('users_get', { params: { id } }))).toBe('NOT_FOUND')
      const left = await app.database.read
        .selectFrom('role_bindings')
        .select('id')
        .where('user_id', '=', id)
        .execute()
      expect(left).toEqual([])
      const told = await app.database.read
        .selectFrom('audit_log')
        .select('before_json')
        .where('action', '=', 'user.delete')
        .execute()
      expect(JSON.stringify(told)).toContain(email)
    })
  })

  describe('a role', () => {
    test('does not take the name of a built-in one, however it is written', async () => {
      const id = await customRole(['agent:read'])
      for (const name of ['owner', 'Instance_Admin']) {
        const body = { organization_id: owner.organization_id, name, permissions: ['agent:read' as const] }
        expect(await codeOf(owner.client.call('roles_create', { body }))).toBe('CONFLICT')
        const renamed = owner.client.call('roles_update', { params: { id }, body: { name } })
        expect(await codeOf(renamed)).toBe('CONFLICT')
      }
    })

    test('of an organization permits what it says, at once after each change', async () => {
      const role = await customRole(['agent:read'])
      const { client } = await person(role)
      const { grants } = (await client.call('me')).data
      expect(grants.map(one => one.role_name)).toEqual([expect.stringMatching(/^role \d+$/)])
      const renamed = (await client.call('me_update', { body: { name: 'Other' } })).data
      expect(renamed).toMatchObject({ name: 'Other', grants })
      const lists = async () => [
        await codeOf(client.call('organizations_list')),
        await codeOf(client.call('roles_list')),
      ]
      expect(await lists()).toEqual(['FORBIDDEN', 'FORBIDDEN'])
      const body = { permissions: ['role:read', 'organization:read'] as Permission[] }
      await owner.client.call('roles_update', { params: { id: role }, body })
      expect((await client.call('roles_list')).data.some(one => one.id === role)).toBe(true)
      expect((await client.call('organizations_list')).data.map(one => one.id)).toEqual([
        owner.organization_id,
      ])
      await owner.client.call('roles_update', { params: { id: role }, body: { permissions: ['agent:read'] } })
      expect(await lists()).toEqual(['FORBIDDEN', 'FORBIDDEN'])
      expect(await codeOf(owner.client.call('roles_delete', { params: { id: role } }))).toBe('IN_USE')
    })

    test('cannot permit more than its maker may do, nor what is the instance’s', async () => {
      const limited = await person(await customRole(['role:write', 'role:read', 'agent:read']))
      const make = (client: Client, permissions: Permission[]) =>
        codeOf(
          client.call('roles_create', {
            body: { organization_id: owner.organization_id, name: `r${++count}`, permissions },
          }),
        )
      expect(await make(limited.client, ['agent:delete'])).toBe('FORBIDDEN')
      expect(await make(owner.client, ['identity_provider:write'])).toBe('VALIDATION_ERROR')
      const { data } = await limited.client.call('roles_create', {
        body: { organization_id: owner.organization_id, name: 'small', permissions: ['agent:read'] },
      })
      const grow = { params: { id: data.id }, body: { permissions: ['user:write'] as Permission[] } }
      expect(await codeOf(limited.client.call('roles_update', grow))).toBe('FORBIDDEN')
      const strong = await customRole(['agent:delete'])
      const weaken = { params: { id: strong }, body: { permissions: ['agent:read'] as Permission[] } }
      expect(await codeOf(limited.client.call('roles_update', weaken))).toBe('FORBIDDEN')
      expect(await codeOf(owner.client.call('roles_delete', { params: { id: ROLE_IDS.viewer } }))).toBe(
        'CONFLICT',
      )
    })

    test('is bound and taken away; what it permitted ends with it', async () => {
      const { client, id } = await person('viewer')
      const give = { user_id: id, role: 'operator', organization_id: owner.organization_id } as const
      const { data } = await owner.client.call('role_bindings_create', { body: give })
      expect((await client.call('me')).data.permissions).toContain('config:write')
      expect(await codeOf(owner.client.call('role_bindings_create', { body: give }))).toBe('CONFLICT')
      expect(await codeOf(client.call('role_bindings_delete', { params: { id: data.id } }))).toBe('FORBIDDEN')
      await owner.client.call('role_bindings_delete', { params: { id: data.id } })
      expect((await client.call('me')).data.permissions).not.toContain('config:write')
    })

    test('is given by nobody to themselves who has less', async () => {
      const admin = await person('admin')
      const body = { user_id: admin.id, role: 'owner', organization_id: owner.organization_id } as const
      expect(await codeOf(admin.client.call('role_bindings_create', { body }))).toBe('FORBIDDEN')
      const key = { name: 'up', role: 'owner', organization_id: owner.organization_id } as const
      expect(await codeOf(admin.client.call('api_keys_create', { body: key }))).toBe('FORBIDDEN')
    })
  })

  describe('an API key', () => {
    test('of one workspace does what its role says there and nothing elsewhere', async () => {
      const { organization_id, workspace_id } = owner
      const body = { name: 'ci', role: 'deployer', organization_id, workspace_id } as const
      const { data } = await owner.client.call('api_keys_create', { body })
      const key = app.client(data.key)
      expect((await key.call('workspaces_list')).data.map(one => one.id)).toEqual([workspace_id])
      const rename = { params: { id: workspace_id }, body: { name: 'x' } }
      expect(await codeOf(key.call('workspaces_update', rename))).toBe('FORBIDDEN')
      const other = { organization_id, name: 'other', slug: `other-${++count}` }
      const made = (await owner.client.call('workspaces_create', { body: other })).data
      expect(await codeOf(key.call('workspaces_get', { params: { id: made.id } }))).toBe('NOT_FOUND')
      expect((await owner.client.call('api_keys_list', { query: { workspace_id } })).data).toMatchObject([
        { id: data.id, role_name: 'deployer', created_by: { type: 'user' } },
      ])
    })
  })
})
