import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ROLE_IDS } from '@nxmesh/contract'
import { closeTestApps, codeOf, openTestApp, type TestApp } from '../../http/testing.ts'
import { makeOutgoing } from '../../outgoing/make-outgoing.ts'
import type { ProviderEndpoints } from './provider-endpoints.ts'
import { openTestIssuer, type TestIssuer } from './testing-issuer.ts'
import { addProvider, enter, logIn, refusals } from './testing-login.ts'

afterAll(closeTestApps)

let app: TestApp
let owner: Awaited<ReturnType<TestApp['owner']>>
let issuer: TestIssuer
let github: {
  server: Server
  answers: Record<string, unknown>
  asked: string[]
  endpoints: ProviderEndpoints['github']
}

beforeAll(async () => {
  github = await openGithub()
  // The issuer's clock is the application's, which is there only afterwards.
  const clock = { now: () => new Date() }
  issuer = await openTestIssuer(() => clock.now())
  app = await openTestApp({ provider_endpoints: { google_issuer: issuer.url, github: github.endpoints } })
  clock.now = app.clock.now
  owner = await app.owner()
})
afterAll(async () => {
  await issuer.close()
  github.server.close()
})
afterEach(() => {
  issuer.metadata = {}
})

const problems = async (body: object) =>
  await addProvider(owner.client, issuer, { name: 'x', ...body })
    .then(() => [])
    .catch(error => [error.code, error.details[0]?.field, error.message] as string[])

describe('an issuer', () => {
  test.each([
    'http://idp.example.com',
    'https://idp.example.com/?a=b',
    'https://idp.example.com/#x',
    'https://user:pass@idp.example.com',
    'https://idp.example.com/.well-known/openid-configuration',
    'ftp://idp.example.com',
    'http://127.0.0.1.example.com',
    'http://localhost.example.com',
    'not a URL',
    '',
  ])('cannot be %j', async at => {
    expect((await problems({ issuer: at })).slice(0, 2)).toEqual(['VALIDATION_ERROR', 'issuer'])
  })

  test.each<[string, object, string]>([
    ['is another one', { issuer: 'https://accounts.google.com' }, 'does not match'],
    ['has no keys', { jwks_uri: undefined }, 'jwks_uri'],
    ['gets the code without https', { token_endpoint: 'http://idp.example.com/token' }, 'token_endpoint'],
    ['runs a script', { authorization_endpoint: 'javascript:alert(1)' }, 'authorization_endpoint'],
    ['has its log-out at a script', { end_session_endpoint: 'data:text/html,x' }, 'end_session_endpoint'],
  ])('is told apart whose document says that it %s', async (_, metadata, told) => {
    issuer.metadata = metadata as Record<string, unknown>
    const [code, field, message] = await problems({})
    expect([code, field]).toEqual(['VALIDATION_ERROR', 'issuer'])
    expect(message).toContain(told)
  })

  test('that cannot be reached is told when it is enabled, not before', async () => {
    const closed = await openTestIssuer(app.clock.now)
    await closed.close()
    const [code, field, message] = await problems({ issuer: closed.url })
    expect([code, field, message]).toEqual([
      'VALIDATION_ERROR',
      'issuer',
      'issuer cannot be used. Discovery failed: the provider cannot be reached',
    ])
    const id = await addProvider(owner.client, closed, { name: 'Later', enabled: false })
    const enable = owner.client.call('identity_providers_update', { params: { id }, body: { enabled: true } })
    expect(await codeOf(enable)).toBe('VALIDATION_ERROR')
    await owner.client.call('identity_providers_delete', { params: { id } })
  })

  test('belongs to the kind oidc and to no other', async () => {
    expect((await problems({ issuer: undefined })).slice(0, 2)).toEqual(['VALIDATION_ERROR', 'issuer'])
    expect((await problems({ kind: 'google' })).slice(0, 2)).toEqual(['VALIDATION_ERROR', 'issuer'])
  })

  test('stays what it is: accounts are bound to it', async () => {
    const id = await addProvider(owner.client, issuer, { name: 'Fixed' })
    const change = { issuer: 'https://evil.example' } as object
    expect(
      await codeOf(owner.client.call('identity_providers_update', { params: { id }, body: change })),
    ).toBe('VALIDATION_ERROR')
    expect((await problems({ name: 'Fixed' }))[0]).toBe('CONFLICT')
    await owner.client.call('identity_providers_delete', { params: { id } })
  })
})

test('a provider inside the network is reached only where that is allowed', async () => {
  const come = async (allow: string[]) => {
    const on = await openTestApp({ outgoing: makeOutgoing({ allow }) })
    on.clock.advance(app.clock.now().getTime() - on.clock.now().getTime())
    const { client } = await on.owner()
    return await logIn(on, await addProvider(client, issuer, { name: 'Inside' }))
  }
  const refused = await come([]).catch(error => [error.code, error.details[0].field, error.message])
  expect(refused).toEqual(['VALIDATION_ERROR', 'issuer', expect.stringContaining('outgoing.allow')])
  const { page, browser } = await come(['127.0.0.1'])
  expect(page.url.pathname).toBe('/agents')
  expect((await enter(browser)).me.permissions).toEqual([])
})

test('a provider that goes away during a log-in is told in a word', async () => {
  const leaving = await openTestIssuer(app.clock.now)
  const id = await addProvider(owner.client, leaving, { name: 'Leaving' })
  app.clock.advance(600_000)
  await leaving.close()
  const { page } = await logIn(app, id)
  expect(page.url.pathname + page.url.search).toBe('/login?error=provider_failed')
  expect((await refusals(app)).at(-1)).toBe('The log-in cannot begin: the provider cannot be reached')
})

test('a public client has no secret; Google is found without an issuer', async () => {
  const id = await addProvider(owner.client, issuer, {
    name: 'Google',
    kind: 'google',
    issuer: undefined,
    client_secret: null,
  })
  const { data } = await owner.client.call('identity_providers_get', { params: { id } })
  expect(data).toMatchObject({
    issuer: issuer.url,
    has_client_secret: false,
    scopes: ['openid', 'profile', 'email'],
  })
  // This issuer wants the secret.
  await logIn(app, id)
  expect((await refusals(app)).at(-1)).toContain('invalid_client')
  const params = { id }
  await owner.client.call('identity_providers_update', { params, body: { ...issuer.client } })
  expect((await logIn(app, id)).page.url.pathname).toBe('/agents')
})

describe('GitHub', () => {
  const come = async (id: string) => await enter((await logIn(app, id)).browser)
  let id: string
  beforeAll(async () => {
    const { organization_id } = owner
    id = await addProvider(owner.client, issuer, {
      name: 'GitHub',
      kind: 'github',
      issuer: undefined,
      group_mappings: [
        { group: 'acme', role: ROLE_IDS.viewer, organization_id, workspace_id: null },
        { group: 'acme/ops', role: ROLE_IDS.operator, organization_id, workspace_id: null },
      ],
    })
  })

  test('who somebody is, is the number; roles come by organizations and teams', async () => {
    const { me } = await come(id)
    expect(me).toMatchObject({ name: 'Mona', email: 'mona@example.com' })
    expect(me.grants.map(one => one.role_id).sort()).toEqual([ROLE_IDS.operator, ROLE_IDS.viewer].sort())
    const rows = await app.database.read
      .selectFrom('identities')
      .selectAll()
      .where('subject', '=', '583231')
      .execute()
    expect(rows).toMatchObject([{ issuer: 'https://github.com', provider_id: id }])
    expect(github.asked[0]).toMatch(/code_challenge_method=S256/)
    // The name may change hands, the number does not.
    github.answers['/user'] = { id: 583232, login: 'octocat', name: 'Mona' }
    expect((await come(id)).me.principal).not.toEqual(me.principal)
  })

  test.each<[string, unknown, string]>([
    ['/user', { login: 'octocat' }, 'no user id'],
    ['/user', { id: '583231', login: 'octocat' }, 'no user id'],
    ['/user/teams', null, '404'],
    ['/login/oauth/access_token', { error: 'bad_verification_code' }, '"access_token"'],
  ])('an answer of %s that makes no sense logs nobody in', async (path, answer, reason) => {
    const before = { ...github.answers }
    github.answers[path] = answer
    const { page, browser } = await logIn(app, id)
    expect(page.url.search).toBe('?error=provider_failed')
    expect(browser.cookie('nxmesh_refresh')).toBeUndefined()
    expect((await refusals(app)).at(-1)).toContain(reason)
    github.answers = before
  })
})

async function openGithub() {
  const asked: string[] = []
  const found = {
    answers: {
      '/user': { id: 583231, login: 'octocat', name: 'Mona', email: 'unverified@example.com' },
      '/user/emails': [
        { email: 'other@example.com', primary: false, verified: true },
        { email: 'mona@example.com', primary: true, verified: true },
      ],
      '/user/orgs': [{ login: 'acme' }],
      '/user/teams': [{ slug: 'ops', organization: { login: 'acme' } }],
      '/login/oauth/access_token': { access_token: 'gho_x', token_type: 'bearer', scope: 'read:user' },
    } as Record<string, unknown>,
  }
  const server = createServer((request, response) => {
    const at = new URL(request.url ?? '', 'http://x')
    asked.push(at.pathname + at.search)
    if (at.pathname === '/login/oauth/authorize') {
      const to = new URL(at.searchParams.get('redirect_uri') ?? '')
      to.searchParams.set('code', 'a-code')
      to.searchParams.set('state', at.searchParams.get('state') ?? '')
      return void response.writeHead(302, { location: to.href }).end()
    }
    const answer = handle.answers[at.pathname]
    const known = answer !== undefined && answer !== null
    const allowed = at.pathname.startsWith('/login') || request.headers.authorization === 'Bearer gho_x'
    response.writeHead(known && allowed ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer ?? { message: 'Not Found' }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const handle = {
    server,
    asked,
    answers: found.answers,
    endpoints: {
      issuer: 'https://github.com',
      authorization_endpoint: `${base}/login/oauth/authorize`,
      token_endpoint: `${base}/login/oauth/access_token`,
      api: base,
    },
  }
  return handle
}
