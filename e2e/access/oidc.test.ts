import { afterAll, beforeAll, expect, test } from 'bun:test'
import { ROLE_IDS } from '@nxmesh/contract'
import { type Page, TestBrowser } from '@nxmesh/master/access/oidc/testing-browser'
import { addProvider, enter, loginPath, refusals } from '@nxmesh/master/access/oidc/testing-login'
import { api, closeTestApps, ORIGIN, OWNER, openTestApp, type TestApp } from '@nxmesh/master/http/testing'
import { openRealIssuer, type RealIssuer } from './issuer.ts'

let app: TestApp
let owner: Awaited<ReturnType<TestApp['owner']>>
let issuer: RealIssuer
let provider_id: string

beforeAll(async () => {
  app = await openTestApp()
  // The provider lives by the clock on the wall.
  app.clock.advance(Date.now() - app.clock.now().getTime())
  owner = await app.owner()
  issuer = await openRealIssuer(`${ORIGIN}/api/v1/auth/callback`, `${ORIGIN}/login`)
  const { organization_id } = owner
  provider_id = await addProvider(owner.client, issuer, {
    name: 'Company',
    scopes: ['openid', 'profile', 'email', 'groups'],
    group_mappings: [
      { group: 'operators', role: ROLE_IDS.operator, organization_id, workspace_id: null },
      { group: 'readers', role: ROLE_IDS.viewer, organization_id, workspace_id: owner.workspace_id },
    ],
  })
})
afterAll(async () => {
  await issuer.close()
  await closeTestApps()
})

/** Fills in what the provider asks, until it sends the browser back. */
async function through(browser: TestBrowser, start: string, name: string): Promise<Page> {
  let page = await browser.visit(start)
  for (let forms = 0; page.url.origin === issuer.url && forms < 4; forms++) {
    const action = /<form method="post" action="([^"]+)"/.exec(page.body)?.[1]
    if (action === undefined) throw new Error(`${page.url} is no form: ${page.body.slice(0, 500)}`)
    const form = { method: 'POST', body: new URLSearchParams({ name }) }
    page = await browser.visit(action, form, page.url)
  }
  return page
}
const pathOf = ({ url }: Page) => url.pathname + url.search

test('a person logs in at the provider, and comes back to the page that was wanted', async () => {
  issuer.people.set('ada', {
    name: 'Ada Lovelace',
    email: 'ada@example.com',
    email_verified: true,
    groups: [],
  })
  const browser = new TestBrowser(app)
  expect(pathOf(await through(browser, loginPath(provider_id, '/deployments?page=2'), 'ada'))).toBe(
    '/deployments?page=2',
  )
  const { me } = await enter(browser)
  expect(me).toMatchObject({ name: 'Ada Lovelace', email: 'ada@example.com', grants: [] })
  const [identity] = await app.database.read.selectFrom('identities').selectAll().execute()
  expect(identity).toMatchObject({ issuer: issuer.url, subject: 'ada', user_id: me.principal.id })
})

test('roles come and go with the groups', async () => {
  const browser = new TestBrowser(app)
  const rolesIn = async (groups: string[]) => {
    issuer.people.set('grace', { name: 'Grace', groups })
    await through(browser, loginPath(provider_id), 'grace')
    return (await enter(browser)).me.grants.map(one => [one.role_id, one.workspace_id])
  }
  expect(await rolesIn(['operators', 'readers'])).toEqual([
    [ROLE_IDS.operator, null],
    [ROLE_IDS.viewer, owner.workspace_id],
  ])
  expect(await rolesIn(['readers'])).toEqual([[ROLE_IDS.viewer, owner.workspace_id]])
  expect(await rolesIn([])).toEqual([])
})

test('whoever has the owner’s address at the provider gets an account of their own without a role', async () => {
  issuer.people.set('mallory', { name: 'Owner', email: OWNER.email, email_verified: true })
  const browser = new TestBrowser(app)
  await through(browser, loginPath(provider_id), 'mallory')
  const { me } = await enter(browser)
  expect([me.grants, me.email?.endsWith('.invalid')]).toEqual([[], true])
})

test('logging out ends the session here and there', async () => {
  issuer.people.set('leaving', { name: 'Leaving' })
  const browser = new TestBrowser(app)
  await through(browser, loginPath(provider_id), 'leaving')
  // The provider knows the browser now, and asks nothing.
  expect(pathOf(await browser.visit(loginPath(provider_id)))).toBe('/agents')
  const { client } = await enter(browser)
  const { logout_url } = (await client.call('logout')).data
  expect(browser.cookie('nxmesh_refresh')).toBeUndefined()
  const page = await browser.visit(logout_url ?? '')
  const [, action, xsrf] = /action="([^"]+)".*?name="xsrf" value="([^"]+)"/s.exec(page.body) ?? []
  const yes = new URLSearchParams({ xsrf: xsrf ?? '', logout: 'yes' })
  const left = await browser.visit(action ?? '', { method: 'POST', body: yes }, page.url)
  expect(left.url.origin + left.url.pathname).toBe(`${ORIGIN}/login`)
  // It asks who is there again.
  expect((await browser.visit(loginPath(provider_id))).body).toContain('data-prompt="login"')
})

test('a code goes with the browser that asked for it, and once', async () => {
  issuer.people.set('careful', { name: 'Careful' })
  const browser = new TestBrowser(app)
  await through(browser, loginPath(provider_id), 'careful')
  const callback = browser.visited.find(one => one.startsWith(`${ORIGIN}${api('/auth/callback')}?`)) ?? ''
  expect(new URL(callback).searchParams.get('iss')).toBe(issuer.url)
  expect(pathOf(await browser.visit(callback))).toBe('/login?error=login_expired')
  // A used code under a fresh state.
  const asked = (await browser.call(loginPath(provider_id))).headers.get('location') ?? ''
  const again = new URL(callback)
  again.searchParams.set('state', new URL(asked).searchParams.get('state') ?? '')
  expect(pathOf(await browser.visit(again.href))).toBe('/login?error=provider_failed')
  expect((await refusals(app)).at(-1)).toContain('invalid_grant')
})

test('a wrong client secret is told in the audit log, not to the person', async () => {
  const params = { id: provider_id }
  const { client } = owner
  await client.call('identity_providers_update', { params, body: { client_secret: 'wrong' } })
  issuer.people.set('unlucky', { name: 'Unlucky' })
  const page = await through(new TestBrowser(app), loginPath(provider_id), 'unlucky')
  expect(pathOf(page)).toBe('/login?error=provider_failed')
  expect((await refusals(app)).at(-1)).toContain('does not take our credentials')
  await client.call('identity_providers_update', { params, body: { ...issuer.client } })
  expect(pathOf(await through(new TestBrowser(app), loginPath(provider_id), 'unlucky'))).toBe('/agents')
})
