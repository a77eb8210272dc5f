import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { GroupMappingInput } from '@nxmesh/contract'
import { ROLE_IDS } from '@nxmesh/contract'
import { forEachEngine } from '../../database/testing.ts'
import { api, closeTestApps, codeOf, openTestApp, type TestApp } from '../../http/testing.ts'
import { TestBrowser } from './testing-browser.ts'
import { openTestIssuer, type TestIssuer } from './testing-issuer.ts'
import { addProvider, enter, enterAsOwner, link, logIn, refusals } from './testing-login.ts'

afterAll(closeTestApps)

forEachEngine((_engine, open) => {
  let app: TestApp
  let owner: Awaited<ReturnType<TestApp['owner']>>
  let issuer: TestIssuer
  let provider_id: string
  let mappings: Record<'ops' | 'readers' | 'owners', GroupMappingInput>
  beforeAll(async () => {
    app = await openTestApp({ database: await open() })
    owner = await app.owner()
    const { organization_id, workspace_id } = owner
    issuer = await openTestIssuer(app.clock.now)
    mappings = {
      ops: { group: 'ops', role: ROLE_IDS.operator, organization_id, workspace_id: null },
      readers: { group: 'readers', role: ROLE_IDS.viewer, organization_id, workspace_id },
      owners: { group: 'owners', role: ROLE_IDS.owner, organization_id, workspace_id: null },
    }
    const group_mappings = Object.values(mappings)
    provider_id = await addProvider(owner.client, issuer, { name: 'Company', group_mappings })
  })
  afterAll(() => issuer.close())

  const come = async (sub: string, groups: unknown, claims: object = {}) => {
    issuer.person = { sub, claims: { name: sub, groups, ...claims } }
    return await enter((await logIn(app, provider_id)).browser)
  }
  const rolesOf = ({ grants }: { grants: readonly { role_id: string; workspace_id: string | null }[] }) =>
    grants.map(one => [one.role_id, one.workspace_id])
  const update = (body: object, id = provider_id) =>
    owner.client.call('identity_providers_update', { params: { id }, body })
  const auditOf = async (user_id: string) => {
    const rows = await app.database.read.selectFrom('audit_log').selectAll().orderBy('sequence').execute()
    return rows.flatMap(row =>
      row.action.startsWith('role_binding.') && row.principal_id === user_id
        ? [`${row.action} ${row.door}`]
        : [],
    )
  }

  test('roles come and go with the groups, at each log-in, and the log says so', async () => {
    const first = await come('ada', ['ops', 'readers', 'unknown'])
    expect(rolesOf(first.me)).toEqual([
      [ROLE_IDS.operator, null],
      [ROLE_IDS.viewer, owner.workspace_id],
    ])
    const second = await come('ada', ['readers'])
    expect(rolesOf(second.me)).toEqual([[ROLE_IDS.viewer, owner.workspace_id]])
    // What the first session may do follows at once.
    expect(rolesOf((await first.client.call('me')).data)).toEqual([[ROLE_IDS.viewer, owner.workspace_id]])
    expect(rolesOf((await come('ada', undefined)).me)).toEqual([])
    expect(await auditOf(first.me.principal.id ?? '')).toEqual([
      'role_binding.create rest',
      'role_binding.create rest',
      'role_binding.delete rest',
      'role_binding.delete rest',
    ])
  })

  test.each<[string, unknown, number]>([
    ['one group as a text', 'ops', 1],
    ['things that are no groups', [{ ops: true }, 7, null, ['ops']], 0],
    ['another spelling', ['OPS', 'ops '], 0],
    ['thousands, with ours at the end', [...Array.from({ length: 5_000 }, (_, n) => `g${n}`), 'ops'], 1],
  ])('the provider tells %s', async (what, groups, count) => {
    expect((await come(what, groups)).me.grants).toHaveLength(count)
  })

  test('groups of the ID token go before those of the userinfo, under the name that is configured', async () => {
    await update({ groups_claim: 'https://example.com/groups' })
    issuer.lies = { 'https://example.com/groups': ['ops'] }
    const { me } = await come('token', ['readers'], { 'https://example.com/groups': ['readers'] })
    expect(rolesOf(me)).toEqual([[ROLE_IDS.operator, null]])
    issuer.lies = {}
    await update({ groups_claim: 'groups' })
  })

  test('a tenant’s administrator opens no way in by password for whoever the provider may raise', async () => {
    const { me } = await come('rising', ['readers'])
    const params = { id: me.principal.id ?? '' }
    const key = { name: 'admin', role: 'admin', organization_id: owner.organization_id }
    const admin = app.client((await owner.client.call('api_keys_create', { body: key })).data.key)
    expect((await admin.call('users_get', { params })).data.has_password).toBe(false)
    expect(await codeOf(admin.call('users_reset_link', { params }))).toBe('FORBIDDEN')
    const { data } = await owner.client.call('users_reset_link', { params })
    const body = { token: data.token, password: 'opened by the instance 1' }
    expect((await app.client().call('reset_password', { body })).data.user.id).toBe(params.id)
  })

  test('roles that a person gave stay', async () => {
    const { me } = await come('given', ['ops'])
    const user_id = me.principal.id ?? ''
    const { organization_id } = owner
    await owner.client.call('role_bindings_create', { body: { user_id, role: 'viewer', organization_id } })
    expect(rolesOf((await come('given', [])).me)).toEqual([[ROLE_IDS.viewer, null]])
  })

  test('the last owner of an organization stays one, and the log says why', async () => {
    const { me } = await come('boss', ['owners'])
    const bindings = await app.database.read.selectFrom('role_bindings').selectAll().execute()
    const of_owner = bindings.find(one => one.role_id === ROLE_IDS.owner && one.user_id !== me.principal.id)
    await app.database.write(async tx => {
      await tx
        .deleteFrom('role_bindings')
        .where('id', '=', of_owner?.id ?? '')
        .execute()
    })
    expect(rolesOf((await come('boss', [])).me)).toEqual([[ROLE_IDS.owner, null]])
    expect((await refusals(app)).at(-1)).toBe('last_keeper')
    // Nor does it end with the provider.
    expect(
      await codeOf(owner.client.call('identity_providers_delete', { params: { id: provider_id } })),
    ).toBe('CONFLICT')
    await app.database.write(async tx => {
      if (of_owner) await tx.insertInto('role_bindings').values(of_owner).execute()
    })
    expect(rolesOf((await come('boss', [])).me)).toEqual([])
  })

  test('a mapping that is taken away ends its roles at once', async () => {
    const { client } = await come('mapped', ['ops', 'readers'])
    await update({ group_mappings: [mappings.readers, mappings.owners] })
    expect(rolesOf((await client.call('me')).data)).toEqual([[ROLE_IDS.viewer, owner.workspace_id]])
    await update({ group_mappings: Object.values(mappings) })
  })

  test('a mapping whose role or organization is gone gives nothing, and stops nobody', async () => {
    const { organization_id } = owner
    const { data: role } = await owner.client.call('roles_create', {
      body: { organization_id, name: 'short-lived', permissions: ['agent:read'] },
    })
    const { data: organization } = await owner.client.call('organizations_create', {
      body: { name: 'Short-lived', slug: 'short-lived' },
    })
    const more = [
      { ...mappings.ops, role: role.id },
      { ...mappings.ops, organization_id: organization.id },
    ]
    await update({ group_mappings: [...Object.values(mappings), ...more] })
    expect((await come('late', ['ops'])).me.grants).toHaveLength(3)
    expect((await come('late', [])).me.grants).toHaveLength(0)
    await owner.client.call('roles_delete', { params: { id: role.id } })
    await owner.client.call('organizations_delete', {
      params: { id: organization.id },
      query: { confirm: 'short-lived' },
    })
    expect(rolesOf((await come('late', ['ops'])).me)).toEqual([[ROLE_IDS.operator, null]])
    // And the list can be sent back as it is.
    await update({ group_mappings: [...Object.values(mappings), ...more] })
    await update({ group_mappings: Object.values(mappings) })
  })

  test('nobody maps a group to what they may not give, nor to what is not there', async () => {
    const with_ = (change: object) => codeOf(update({ group_mappings: [{ ...mappings.ops, ...change }] }))
    const other = '019ab0c1-2d3e-7abc-8def-0123456789ab'
    expect(await with_({ role: other })).toBe('VALIDATION_ERROR')
    expect(await with_({ organization_id: other })).toBe('NOT_FOUND')
    expect(await with_({ workspace_id: other })).toBe('NOT_FOUND')
    expect(await with_({ role: 'instance_admin' })).toBe('VALIDATION_ERROR')
    expect(await with_({ organization_id: null })).toBe('VALIDATION_ERROR')
    const twice = await update({ group_mappings: [mappings.ops, mappings.ops] }).catch(error => error.details)
    expect(twice).toMatchObject([{ field: 'group_mappings.1' }])
  })

  test('unlinking an identity takes its roles and its other sessions; the only way in stays', async () => {
    const alone = await come('alone', ['ops'])
    const { data: own } = await alone.client.call('me_identities_list', {})
    expect(own).toMatchObject([{ provider_name: 'Company', issuer: issuer.url, subject: 'alone' }])
    const id = own[0]?.id ?? ''
    expect(await codeOf(alone.client.call('me_identities_delete', { params: { id } }))).toBe('CONFLICT')
    issuer.person = { sub: 'of the owner', claims: { groups: ['readers'] } }
    await link(new TestBrowser(app), provider_id)
    const { client } = await enter((await logIn(app, provider_id)).browser)
    const mine = (await owner.client.call('me_identities_list', {})).data
    expect(mine).toMatchObject([{ subject: 'of the owner' }])
    const before = (await owner.client.call('me')).data.grants.length
    // Another's identity is none.
    expect(await codeOf(owner.client.call('me_identities_delete', { params: { id } }))).toBe('NOT_FOUND')
    await owner.client.call('me_identities_delete', { params: { id: mine[0]?.id ?? '' } })
    expect((await owner.client.call('me')).data.grants).toHaveLength(before - 1)
    expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
  })

  test('an identity that is somebody’s cannot be linked to another account', async () => {
    const taken = await come('taken', [])
    const page = await link(new TestBrowser(app), provider_id)
    expect(page.url.pathname + page.url.search).toBe('/account?error=identity_taken')
    expect((await owner.client.call('me_identities_list', {})).data).toEqual([])
    expect((await taken.client.call('me_identities_list', {})).data).toHaveLength(1)
  })

  test('an access token alone links nothing: whoever stole it would stay', async () => {
    const stolen = await enterAsOwner(new TestBrowser(app))
    issuer.person = { sub: 'thief', claims: {} }
    for (const thief of [new TestBrowser(app), (await logIn(app, provider_id)).browser]) {
      const begun = await thief.call(api('/me/identities'), {
        method: 'POST',
        body: JSON.stringify({ provider_id }),
        headers: { authorization: `Bearer ${stolen}`, 'content-type': 'application/json' },
      })
      expect(begun.status).toBe(403)
    }
  })

  test('a link that was begun ends with the session that began it', async () => {
    const browser = new TestBrowser(app)
    const token = await enterAsOwner(browser)
    const begun = await browser.call(api('/me/identities'), {
      method: 'POST',
      body: JSON.stringify({ provider_id }),
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    })
    const { url } = ((await begun.json()) as { data: { url: string } }).data
    await app.client(token).call('logout')
    issuer.person = { sub: 'late link', claims: {} }
    expect((await browser.visit(url)).url.search).toBe('?error=login_expired')
  })

  test('logging out says where the provider ends its own session, with the ID token as hint', async () => {
    const { client } = await come('leaving', [])
    const { logout_url } = (await client.call('logout')).data
    const url = new URL(logout_url ?? '')
    expect(url.origin + url.pathname).toBe(`${issuer.url}/end`)
    expect(url.searchParams.get('client_id')).toBe('nxmesh')
    expect(url.searchParams.get('post_logout_redirect_uri')).toBe('https://master.test:8443/login')
    const [, claims = ''] = (url.searchParams.get('id_token_hint') ?? '').split('.')
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({ sub: 'leaving' })
    expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
  })

  test('a provider that is deleted takes its sessions and roles along; accounts stay', async () => {
    const { client, me } = await come('staying', ['ops', 'readers'])
    await owner.client.call('identity_providers_delete', { params: { id: provider_id } })
    expect(await codeOf(client.call('me'))).toBe('UNAUTHENTICATED')
    const user_id = me.principal.id ?? ''
    expect((await owner.client.call('users_get', { params: { id: user_id } })).data.name).toBe('staying')
    const rest = await app.database.read
      .selectFrom('role_bindings')
      .select('id')
      .where('provider_id', 'is not', null)
      .execute()
    expect(rest).toEqual([])
    const identities = app.database.read.selectFrom('identities').select('provider_id')
    expect(await identities.where('user_id', '=', user_id).execute()).toEqual([{ provider_id: null }])
    // The same issuer again: the same people.
    provider_id = await addProvider(owner.client, issuer, { name: 'Company again' })
    expect((await come('staying', [])).me.principal.id).toBe(user_id)
  })
})
