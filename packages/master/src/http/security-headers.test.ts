import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { CHANNEL_PATH, ENDPOINTS, HEALTH_PATH, OPENAPI_PATH, READY_PATH } from '@nxmesh/contract'
import { signedHeaders, startTestChannel, type TestChannel, tryUpgrade } from '../channel/testing.ts'
import { everyClass } from './rate-limiter.ts'
import { api, closeTestApps, openTestApp, type TestApp } from './testing.ts'

let app: TestApp
let owner: Awaited<ReturnType<TestApp['owner']>>
let channel: TestChannel
beforeAll(async () => {
  app = await openTestApp({ rates: { address: everyClass({ burst: 10_000, per_s: 10_000 }) } })
  owner = await app.owner()
  channel = await startTestChannel()
})
afterAll(async () => {
  await channel.stop()
  await closeTestApps()
})

const ID = '0192f0c1-2d3e-7abc-8def-0123456789ab'
const rows = Object.entries(ENDPOINTS).map(
  ([id, row]) => [id, row.method, api(row.path.replace(/\{\w+\}/g, ID))] as const,
)

/** Everything that a browser must be told, whatever the answer is. */
function expectHeaders({ headers }: Response, tls = true): void {
  expect(Object.fromEntries(headers)).toMatchObject({
    'cache-control': 'no-store',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  })
  const policy = headers.get('content-security-policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toContain('unsafe')
  const features = (headers.get('permissions-policy') ?? '').split(', ')
  expect(features.length).toBeGreaterThan(20)
  for (const feature of features) expect(feature).toMatch(/^[a-z-]+=\(\)$/)
  expect(headers.get('strict-transport-security')).toBe(tls ? 'max-age=31536000' : null)
  expect([...headers.keys()].filter(name => name.startsWith('access-control'))).toEqual([])
}

describe('the security headers stand on every answer', () => {
  test.each(rows)(
    'of %s: to a stranger, to a user, to HEAD and to a preflight',
    async (_id, method, path) => {
      const changes = method !== 'GET'
      const sent = changes
        ? { body: '{"nothing":true}', headers: { 'content-type': 'application/json' } }
        : {}
      expectHeaders(await app.fetch(path, { method, ...sent }))
      expectHeaders(await app.fetch(path, { method, ...sent }, { tls: false }), false)
      const headers = { ...sent.headers, authorization: `Bearer ${owner.token}` }
      if (path !== api('/auth/logout')) expectHeaders(await app.fetch(path, { ...sent, method, headers }))
      expectHeaders(await app.fetch(path, { method: 'HEAD' }))
      const preflight = await app.fetch(path, {
        method: 'OPTIONS',
        headers: {
          origin: 'https://evil.example',
          'access-control-request-method': method,
          'access-control-request-headers': 'authorization',
        },
      })
      expect(preflight.status).toBe(405)
      expectHeaders(preflight)
    },
  )

  test('of the health paths, the document, and where nothing is', async () => {
    for (const path of [HEALTH_PATH, READY_PATH, OPENAPI_PATH, '/', '/nothing', api('/nothing')]) {
      expectHeaders(await app.fetch(path))
      expectHeaders(await app.fetch(path, { method: 'HEAD' }))
      expectHeaders(await app.fetch(path, { method: 'POST' }, { tls: false }), false)
    }
  })

  test('of a success without content', async () => {
    const body = { name: 'short-lived', role: 'viewer', organization_id: owner.organization_id } as const
    const made = await owner.client.call('api_keys_create', { body })
    const headers = { authorization: `Bearer ${owner.token}` }
    const gone = await app.fetch(api(`/api-keys/${made.data.id}`), { method: 'DELETE', headers })
    expect(gone.status).toBe(204)
    expectHeaders(gone)
    expect(gone.headers.get('content-type')).toBeNull()
  })

  test('of the channel’s refusals', async () => {
    for (const headers of [{}, { 'x-nxmesh-agent': 'nobody' }] as Record<string, string>[]) {
      const refused = await tryUpgrade(channel, headers)
      expect(refused.status).toBe(401)
      expectHeaders(refused)
    }
    const headers = signedHeaders(channel.addAgent())
    const no_upgrade = await fetch(channel.url + CHANNEL_PATH, { headers, tls: { ca: channel.ca_pem } })
    expect(no_upgrade.status).toBe(503)
    expectHeaders(no_upgrade)
  })
})
