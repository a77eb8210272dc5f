import { type Client, type IdentityProviderCreate, makeClient } from '@nxmesh/contract'
import { api, ORIGIN, OWNER, type TestApp } from '../../http/testing.ts'
import { type Page, TestBrowser } from './testing-browser.ts'
import type { TestIssuer } from './testing-issuer.ts'

/** The owner again, whose token ends when the clock is moved on. */
export async function ownerAgain(app: TestApp): Promise<{ client: Client; token: string }> {
  const { token } = (await app.client().call('login', { body: OWNER })).data
  return { client: app.client(token), token }
}

/** Adds an issuer as a provider; answers its id. */
export async function addProvider(
  client: Client,
  issuer: Pick<TestIssuer, 'url' | 'client'>,
  change: Partial<IdentityProviderCreate> & { name: string },
): Promise<string> {
  const body = { kind: 'oidc' as const, issuer: issuer.url, ...issuer.client, ...change }
  return (await client.call('identity_providers_create', { body: body as never })).data.id
}

export const loginPath = (provider_id: string, return_to = '/agents') =>
  api(`/auth/providers/${provider_id}/login?return_to=${encodeURIComponent(return_to)}`)

/** A log-in from beginning to end, by a provider that asks nothing. */
export async function logIn(
  app: TestApp,
  provider_id: string,
  browser = new TestBrowser(app),
): Promise<{ page: Page; browser: TestBrowser }> {
  return { page: await browser.visit(loginPath(provider_id)), browser }
}

/** What the console does when it has the cookie: an access token, and a client with it. */
export async function enter(browser: TestBrowser) {
  const response = await browser.call(api('/auth/refresh'), { method: 'POST' })
  if (response.status !== 200) throw new Error(`no session: ${response.status} ${await response.text()}`)
  const { data } = (await response.json()) as { data: { token: string; session_id: string } }
  const client = makeClient({
    base_url: ORIGIN,
    token: data.token,
    fetch: (url, init) => browser.call(url, init),
  })
  return { client, token: data.token, me: (await client.call('me')).data }
}

/** The reasons of refused log-ins in the audit log, oldest first. */
export async function refusals(app: TestApp): Promise<string[]> {
  const rows = await app.database.read
    .selectFrom('audit_log')
    .select(['after_json', 'action'])
    .where('result', '=', 'refused')
    .orderBy('sequence')
    .execute()
  return rows.map(row => (JSON.parse(row.after_json ?? '{}') as { reason?: string }).reason ?? row.action)
}

/** Logs the owner in by password in this browser; answers the access token. */
export async function enterAsOwner(browser: TestBrowser): Promise<string> {
  const response = await browser.call(api('/auth/login'), {
    method: 'POST',
    body: JSON.stringify(OWNER),
    headers: { 'content-type': 'application/json' },
  })
  return ((await response.json()) as { data: { token: string } }).data.token
}

/** Links an identity to the owner's account, in this browser. */
export async function link(browser: TestBrowser, provider_id: string): Promise<Page> {
  const token = await enterAsOwner(browser)
  const response = await browser.call(api('/me/identities'), {
    method: 'POST',
    body: JSON.stringify({ provider_id, return_to: '/account' }),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  })
  if (response.status !== 200) throw new Error(`not begun: ${response.status} ${await response.text()}`)
  return await browser.visit(((await response.json()) as { data: { url: string } }).data.url)
}
