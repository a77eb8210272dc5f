import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract'
import { forEachEngine } from '../../database/testing.ts'
import { everyClass } from '../../http/rate-limiter.ts'
import {
  api,
  closeTestApps,
  codeOf,
  ORIGIN,
  OWNER,
  openTestApp,
  refusal,
  type TestApp,
} from '../../http/testing.ts'
import { TestBrowser } from './testing-browser.ts'
import { type Forgery, openTestIssuer, type TestIssuer } from './testing-issuer.ts'
import { addProvider, enter, link, logIn, loginPath, ownerAgain, refusals } from './testing-login.ts'

afterAll(closeTestApps)

type Owner = Awaited<ReturnType<TestApp['owner']>>
const failed = (word: string) => `/login?error=${word}`
const pathOf = (url: URL) => url.pathname + url.search

forEachEngine((_engine, open) => {
  let app: TestApp
  let owner: Owner
  let issuer: TestIssuer
  let provider_id: string
  beforeAll(async () => {
    app = await openTestApp({
      database: await open(),
      rates: { address: everyClass({ burst: 1e6, per_s: 1e6 }) },
    })
    owner = await app.owner()
    issuer = await openTestIssuer(app.clock.now)
    provider_id = await addProvider(owner.client, issuer, { name: 'Company' })
  })
  afterEach(() => Object.assign(issuer, { lies: {}, forgery: null, response: {}, metadata: {} }))
  afterAll(() => issuer.close())

  const as = (sub: string, claims: Record<string, unknown> = {}) => {
    issuer.person = { sub, claims }
    // Strangers are slowed; each person here comes after a while.
    app.clock.advance(60_000)
  }

  describe('logging in', () => {
    test('ends at the page one wanted, with a session that names the provider', async () => {
      as('ada', { name: 'Ada Lovelace', email: 'Ada@example.com', email_verified: true })
      const { page, browser } = await logIn(app, provider_id)
      expect(pathOf(page.url)).toBe('/agents')
      const { me, client } = await enter(browser)
      expect(me).toMatchObject({
        name: 'Ada Lovelace',
        email: 'ada@example.com',
        permissions: [],
        grants: [],
      })
      const { data } = await client.call('me_sessions_list', {})
      expect(data).toMatchObject([{ method: 'oidc', current: true }])
    })

    test('the second time it is the same account', async () => {
      as('ada')
      const first = await enter((await logIn(app, provider_id)).browser)
      const second = await enter((await logIn(app, provider_id)).browser)
      expect(second.me.principal).toEqual(first.me.principal)
      expect(second.me.email).toBe('ada@example.com')
    })

    test('the cookies are out of reach of scripts, and the refresh token never comes from another site', async () => {
      as('cookies')
      const response = await app.fetch(loginPath(provider_id))
      const login = response.headers.get('set-cookie') ?? ''
      expect(login).toStartWith('__Host-nxmesh_login=')
      for (const part of ['HttpOnly', 'SameSite=Lax', 'Secure', 'Path=/;', 'Max-Age=600'])
        expect(login).toContain(part)
      const location = new URL(response.headers.get('location') ?? '')
      expect([response.status, location.origin]).toEqual([302, issuer.url])
      const asked = Object.fromEntries(location.searchParams)
      expect(asked).toMatchObject({
        response_type: 'code',
        code_challenge_method: 'S256',
        client_id: 'nxmesh',
      })
      expect(asked.redirect_uri).toBe(`${ORIGIN}/api/v1/auth/callback`)
      const stored = JSON.stringify(
        await app.database.read.selectFrom('pending_logins').selectAll().execute(),
      )
      for (const secret of [asked.state ?? '?', asked.nonce ?? '?', asked.code_challenge ?? '?'])
        expect(stored).not.toContain(secret)
    })

    test('an address that is somebody’s gives a new account without any role, not that account', async () => {
      as('impostor', { name: 'Owner', email: OWNER.email, email_verified: true, groups: ['admins'] })
      const { me } = await enter((await logIn(app, provider_id)).browser)
      expect(me.grants).toEqual([])
      expect(me.email).toMatch(new RegExp(`^[0-9a-f]{32}@${provider_id}\\.invalid$`))
      expect((await owner.client.call('me')).data.principal).not.toEqual(me.principal)
    })

    test('an address that nobody verified is not taken', async () => {
      as('unverified', { email: 'boss@example.com', email_verified: 'true' })
      const { me } = await enter((await logIn(app, provider_id)).browser)
      expect(me.email).toEndWith('.invalid')
      expect(me.name).toBe('Somebody of Company')
    })

    test('two tabs of one browser do not disturb each other', async () => {
      as('tabs')
      const browser = new TestBrowser(app)
      const begun = async () => (await browser.call(loginPath(provider_id))).headers.get('location') ?? ''
      const [first, second] = [await begun(), await begun()]
      expect(pathOf((await browser.visit(second)).url)).toBe('/agents')
      expect(pathOf((await browser.visit(first)).url)).toBe('/agents')
    })

    test('the log-in page is told names and nothing else', async () => {
      const { data } = (await (await app.fetch(api('/auth/providers'))).json()) as { data: object[] }
      expect(data).toEqual([{ id: provider_id, name: 'Company', kind: 'oidc' }])
    })
  })

  describe('an ID token is refused', () => {
    const refusedAs = async (sub: string, reason: string) => {
      as(sub)
      const { page, browser } = await logIn(app, provider_id)
      expect(pathOf(page.url)).toBe(failed('provider_failed'))
      expect(browser.cookie('nxmesh_refresh')).toBeUndefined()
      expect((await refusals(app)).at(-1)).toContain(reason)
      const found = await app.database.read
        .selectFrom('identities')
        .select('id')
        .where('subject', '=', sub)
        .execute()
      expect(found).toEqual([])
    }

    test.each<[Forgery, string]>([
      ['other_key', 'signature'],
      ['none', 'unsupported'],
      ['hs256', 'unsupported'],
    ])('with a signature by %s', async (forgery, reason) => {
      issuer.forgery = forgery
      await refusedAs(`signed by ${forgery}`, reason)
    })

    test.each<[string, Record<string, unknown>, string]>([
      ['for another log-in', { nonce: 'another' }, '"nonce"'],
      ['without nonce', { nonce: undefined }, '"nonce"'],
      ['for another client', { aud: 'another' }, '"aud"'],
      ['for two, and made for the other', { aud: ['nxmesh', 'another'], azp: 'another' }, '"azp"'],
      ['made for another client', { azp: 'another' }, 'azp'],
      ['of another issuer', { iss: 'https://accounts.google.com' }, '"iss"'],
      ['that has ended', { exp: 1_700_000_000 }, '"exp"'],
      ['that does not end', { exp: undefined }, '"exp"'],
      ['of nobody', { sub: undefined }, '"sub"'],
      ['of an empty name', { sub: '' }, 'sub'],
      ['of an endless name', { sub: 'x'.repeat(256) }, 'sub'],
      ['of a number', { sub: 7 }, '"sub"'],
      ['that goes with another access token', { at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }, 'at_hash'],
    ])('%s', async (what, lies, reason) => {
      issuer.lies = lies
      await refusedAs(what, reason)
    })

    test('a minute of difference between the clocks is too much, some seconds are not', async () => {
      const now_s = Math.floor(app.clock.now().getTime() / 1_000) + 60
      issuer.lies = { exp: now_s - 60 }
      await refusedAs('late', '"exp"')
      issuer.lies = { exp: Math.floor(app.clock.now().getTime() / 1_000) + 60 - 10 }
      as('a little late')
      expect(pathOf((await logIn(app, provider_id)).page.url)).toBe('/agents')
    })

    test('and nothing of tokens, secrets or claims is in the log', () => {
      expect(app.logged.join('\n')).not.toMatch(/eyJ|a secret of the client/)
    })
  })

  describe('a callback is refused', () => {
    const callback = (query: Record<string, string>) => api(`/auth/callback?${new URLSearchParams(query)}`)
    /** Where the provider sends the browser back to, without going there. */
    const brought = async (browser: TestBrowser, id = provider_id) => {
      const asked = (await browser.call(loginPath(id))).headers.get('location') ?? ''
      return (await fetch(asked, { redirect: 'manual' })).headers.get('location') ?? ''
    }
    const ends = async (browser: TestBrowser, url: string, word: string, reason: string) => {
      expect(pathOf((await browser.visit(url)).url)).toBe(failed(word))
      expect((await refusals(app)).at(-1)).toContain(reason)
      expect(browser.cookie('nxmesh_refresh')).toBeUndefined()
    }

    test('without a state, and with one that nobody began', async () => {
      as('stateless')
      const browser = new TestBrowser(app)
      await ends(browser, callback({ code: 'x' }), 'login_expired', 'state_unknown')
      await ends(browser, callback({ code: 'x', state: 'y'.repeat(43) }), 'login_expired', 'state_unknown')
    })

    test('the second time', async () => {
      as('twice')
      const browser = new TestBrowser(app)
      const url = await brought(browser)
      expect(pathOf((await browser.visit(url)).url)).toBe('/agents')
      await ends(new TestBrowser(app), url, 'login_expired', 'state_unknown')
      expect(pathOf((await browser.visit(url)).url)).toBe(failed('login_expired'))
    })

    test('in another browser than the one that began, and then in that one as well', async () => {
      as('planted')
      const mine = new TestBrowser(app)
      const url = await brought(mine)
      await ends(new TestBrowser(app), url, 'other_browser', 'other_browser')
      await ends(mine, url, 'login_expired', 'state_unknown')
      const other = new TestBrowser(app)
      await other.call(loginPath(provider_id))
      await ends(other, await brought(new TestBrowser(app)), 'other_browser', 'other_browser')
    })

    test('after ten minutes', async () => {
      as('slow')
      const browser = new TestBrowser(app)
      const url = await brought(browser)
      app.clock.advance(600_000)
      await ends(browser, url, 'login_expired', 'state_expired')
    })

    test('with a code that was used', async () => {
      as('code again')
      const browser = new TestBrowser(app)
      const first = new URL(await brought(browser))
      await browser.visit(first.href)
      const other = new TestBrowser(app)
      const second = new URL(await brought(other))
      second.searchParams.set('code', first.searchParams.get('code') ?? '')
      await ends(other, second.href, 'provider_failed', 'invalid_grant')
    })

    test('with somebody else’s fresh code: it goes with their code verifier', async () => {
      as('injected')
      const theirs = new URL(await brought(new TestBrowser(app)))
      const browser = new TestBrowser(app)
      const url = new URL(await brought(browser))
      url.searchParams.set('code', theirs.searchParams.get('code') ?? '')
      await ends(browser, url.href, 'provider_failed', 'invalid_grant')
    })

    test('of one provider with the state of another', async () => {
      as('mixed up')
      const evil = await openTestIssuer(app.clock.now)
      const { client } = await ownerAgain(app)
      const evil_id = await addProvider(client, evil, { name: 'Evil' })
      const browser = new TestBrowser(app)
      const evils = new URL(await brought(browser, evil_id))
      const url = new URL(await brought(browser))
      for (const name of ['code', 'iss']) url.searchParams.set(name, evils.searchParams.get(name) ?? '')
      await ends(browser, url.href, 'provider_failed', '"iss" (issuer) response parameter')
      // Where it leaves out who it is.
      const again = new URL(await brought(browser))
      again.searchParams.delete('iss')
      await ends(browser, again.href, 'provider_failed', '"iss" (issuer) missing')
      await client.call('identity_providers_delete', { params: { id: evil_id } })
      await evil.close()
    })

    test('when the person said no', async () => {
      as('unwilling')
      issuer.response = { code: undefined, error: 'access_denied' }
      const { page } = await logIn(app, provider_id)
      expect(pathOf(page.url)).toBe(failed('access_denied'))
    })

    test('when the provider was disabled in between; it is not there to begin with either', async () => {
      as('disabled')
      const browser = new TestBrowser(app)
      const url = await brought(browser)
      const params = { id: provider_id }
      const { client } = await ownerAgain(app)
      await client.call('identity_providers_update', { params, body: { enabled: false } })
      await ends(browser, url, 'provider_unavailable', 'provider_disabled')
      expect((await refusal(app.fetch(loginPath(provider_id)))).code).toBe('NOT_FOUND')
      await client.call('identity_providers_update', { params, body: { enabled: true } })
    })

    test('and a stranger who tries on and on does not fill the audit log', async () => {
      as('stranger')
      const before = (await refusals(app)).length
      const browser = new TestBrowser(app)
      const words = new Set<string>()
      for (let n = 0; n < 40; n++) words.add(pathOf((await browser.visit(callback({ state: `s${n}` }))).url))
      expect(words).toEqual(new Set([failed('login_expired'), failed('rate_limited')]))
      expect((await refusals(app)).length - before).toBeLessThan(20)
      app.clock.advance(3_600_000)
    })
  })

  test.each([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example',
    '/.//evil.example',
    '/x/..//evil.example',
    '/%0d%0aset-cookie:a=b\r\n',
    '/\t/evil.example',
    'javascript:alert(1)',
    'agents',
    '',
    '/\u2028',
  ])('a log-in does not lead to %j afterwards', async return_to => {
    const { code, fields } = await refusal(app.fetch(loginPath(provider_id, return_to)))
    expect([code, fields]).toEqual(['VALIDATION_ERROR', ['return_to']])
  })

  test('log-ins that are begun and not finished are bounded', async () => {
    const from = { ip_address: '198.51.100.77' }
    const statuses = new Set<number>()
    for (let n = 0; n < 203; n++) statuses.add((await app.fetch(loginPath(provider_id), {}, from)).status)
    expect([...statuses].sort()).toEqual([302, 429])
    app.clock.advance(600_000)
    expect((await app.fetch(loginPath(provider_id), {}, from)).status).toBe(302)
    const rows = await app.database.read.selectFrom('pending_logins').select('state_hash').execute()
    expect(rows).toHaveLength(1)
  })

  test('a disabled person does not get in by a provider', async () => {
    as('gone')
    const { me } = await enter((await logIn(app, provider_id)).browser)
    const params = { id: me.principal.id ?? '' }
    await (await ownerAgain(app)).client.call('users_update', { params, body: { status: 'disabled' } })
    const { page, browser } = await logIn(app, provider_id)
    expect(pathOf(page.url)).toBe(failed('account_disabled'))
    expect(browser.cookie('nxmesh_refresh')).toBeUndefined()
  })

  test('log-ins that are begun and broken off write the audit log only so fast', async () => {
    const before = (await refusals(app)).length
    const attempts = LIMITS.login_refusal_rows_burst + 20
    for (let n = 0; n < attempts; n++) {
      const from = { ip_address: `198.51.100.${n % 250}` }
      const begun = await app.fetch(loginPath(provider_id), {}, from)
      const state = new URL(begun.headers.get('location') ?? '').searchParams.get('state')
      const cookie = (begun.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
      const path = api(`/auth/callback?state=${state}&error=access_denied`)
      expect((await app.fetch(path, { headers: { cookie } }, from)).status).toBe(302)
    }
    const told = (await refusals(app)).length - before
    expect(told).toBeGreaterThan(0)
    expect(told).toBeLessThanOrEqual(LIMITS.login_refusal_rows_burst)
    app.clock.advance(60_000)
  })

  test('where nobody may sign up, only those get in who linked the identity before', async () => {
    const closed = await openTestIssuer(app.clock.now)
    app.clock.advance(60_000)
    const { client } = await ownerAgain(app)
    const id = await addProvider(client, closed, { name: 'Closed', allow_sign_up: false })
    expect(pathOf((await logIn(app, id)).page.url)).toBe(failed('no_account'))
    const browser = new TestBrowser(app)
    expect(pathOf((await link(browser, id)).url)).toBe('/account')
    const { me } = await enter((await logIn(app, id)).browser)
    expect(me.email).toBe(OWNER.email)
    await closed.close()
  })

  test('configuring needs the instance’s permission, and shows no secret', async () => {
    const { client: fresh } = await ownerAgain(app)
    const { data } = await fresh.call('identity_providers_get', { params: { id: provider_id } })
    expect(data).toMatchObject({ has_client_secret: true, redirect_uri: `${ORIGIN}/api/v1/auth/callback` })
    const everything = JSON.stringify([
      data,
      await app.database.read.selectFrom('identity_providers').selectAll().execute(),
      await app.database.read.selectFrom('audit_log').selectAll().execute(),
    ])
    expect(everything).not.toContain('a secret of the client')
    const body = {
      name: 'an owner',
      role: 'owner',
      organization_id: owner.organization_id,
      expires_at: null,
    } as const
    const key = app.client((await fresh.call('api_keys_create', { body })).data.key)
    expect(await codeOf(key.call('identity_providers_list', {}))).toBe('FORBIDDEN')
  })
})
