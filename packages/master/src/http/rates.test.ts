import { afterAll, describe, expect, test } from 'bun:test'
import { type ApiError, ENDPOINTS, type Endpoint, LIMITS, rateClassOf } from '@nxmesh/contract'
import { everyClass, makeRateLimiter } from './rate-limiter.ts'
import { api, closeTestApps, codeOf, openTestApp } from './testing.ts'

afterAll(closeTestApps)

describe('rates', () => {
  test('a caller that asks too much waits as long as it is told; others do not', async () => {
    const small = await openTestApp({ rates: { principal: everyClass({ burst: 3, per_s: 0.5 }) } })
    const { client, organization_id } = await small.owner()
    const body = { name: 'other', role: 'viewer', organization_id } as const
    const other = (await client.call('api_keys_create', { body })).data.key
    for (let n = 0; n < 2; n++) await client.call('me')
    const refused = await client.call('me').catch(error => error as ApiError)
    expect(refused).toMatchObject({ code: 'RATE_LIMITED', retry_after_s: 2 })
    expect((await small.client(other).call('me')).data.name).toBe('other')
    small.clock.advance(2_000)
    expect((await client.call('me')).data.name).toBe('owner@example.com')
  })

  test('an address without credentials is slowed, whatever X-Forwarded-For says', async () => {
    const small = await openTestApp({ rates: { address: everyClass({ burst: 5, per_s: 1 }) } })
    const codes = []
    for (let n = 0; n < 8; n++)
      codes.push((await small.fetch(api('/me'), { headers: { 'x-forwarded-for': `10.0.0.${n}` } })).status)
    expect(codes).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
    expect(await codeOf(small.client(undefined, { ip_address: '192.0.2.77' }).call('me'))).toBe(
      'UNAUTHENTICATED',
    )
  })

  test('what a user has written too much of does not keep it from reading, and credentials are counted apart', async () => {
    const few = { burst: 2, per_s: 0.1 }
    const many = { burst: 100, per_s: 1 }
    const rates = {
      principal: { read: many, write: few, credentials: many },
      address: { read: many, write: many, credentials: { burst: 4, per_s: 0.1 } },
    }
    const small = await openTestApp({ rates })
    const { token } = await small.owner()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const status = async (method: string, path: string, more: Record<string, string> = headers) => {
      const init = method === 'GET' ? { method, headers: more } : { method, headers: more, body: '{}' }
      return (await small.fetch(api(path), init)).status
    }
    const writes = []
    for (let n = 0; n < 4; n++) writes.push(await status('POST', '/organizations'))
    expect(writes).toEqual([422, 422, 429, 429])
    const refused = await small.fetch(api('/organizations'), { method: 'POST', headers, body: '{}' })
    expect(refused.headers.get('retry-after')).toBe('10')
    expect(await status('GET', '/organizations')).toBe(200)
    // The set-up was the first with credentials in it.
    const logins = []
    for (let n = 0; n < 5; n++)
      logins.push(await status('POST', '/auth/login', { 'content-type': 'application/json' }))
    expect(logins).toEqual([422, 422, 422, 429, 429])
    expect(await status('GET', '/me', {})).toBe(401)
    small.clock.advance(10_000)
    expect(await status('POST', '/organizations')).toBe(422)
  })

  test('every endpoint has the class that its row says', () => {
    const classes = Object.fromEntries(Object.entries(ENDPOINTS).map(([id, row]) => [id, rateClassOf(row)]))
    expect(classes).toMatchObject({
      setup: 'credentials',
      login: 'credentials',
      agents_register: 'credentials',
      me: 'read',
      virtual_hosts_list: 'read',
      virtual_hosts_update: 'write',
      agents_delete: 'write',
    })
    expect(rateClassOf({ ...ENDPOINTS.api_keys_create, rate: 'credentials' })).toBe('credentials')
    for (const [id, row] of Object.entries(ENDPOINTS) as [string, Endpoint][])
      if (typeof row.access !== 'string' && row.method !== 'GET')
        expect([id, classes[id]]).toEqual([id, 'credentials'])
  })

  test('the limits of the table: each kind of caller, each class', () => {
    const now = new Date()
    const limiter = makeRateLimiter(() => now)
    const user = { type: 'user', id: 'a' } as const
    const admitted = (ask: () => void) => {
      for (let n = 0; ; n++) {
        try {
          ask()
        } catch (error) {
          expect((error as ApiError).retry_after_s).toBeGreaterThanOrEqual(1)
          return n
        }
      }
    }
    expect({
      principal_read: admitted(() => limiter.admitPrincipal(user, 'read')),
      principal_write: admitted(() => limiter.admitPrincipal(user, 'write')),
      principal_credentials: admitted(() => limiter.admitPrincipal(user, 'credentials')),
      address_read: admitted(() => limiter.admitAddress('192.0.2.1', 'read')),
      address_write: admitted(() => limiter.admitAddress('192.0.2.1', 'write')),
      address_credentials: admitted(() => limiter.admitAddress('192.0.2.1', 'credentials')),
    }).toEqual({
      principal_read: LIMITS.principal_read_burst_requests,
      principal_write: LIMITS.principal_write_burst_requests,
      principal_credentials: LIMITS.principal_credentials_burst_requests,
      address_read: LIMITS.address_read_burst_requests,
      address_write: LIMITS.address_write_burst_requests,
      address_credentials: LIMITS.address_credentials_burst_requests,
    })
    limiter.admitPrincipal({ type: 'api_key', id: 'a' }, 'write')
    limiter.admitAddress('192.0.2.2', 'credentials')
  })
})
