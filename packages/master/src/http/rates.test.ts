import { afterAll, describe, expect, test } from 'bun:test'
import type { ApiError } from '@nxmesh/contract'
import { api, closeTestApps, codeOf, openTestApp } from './testing.ts'

afterAll(closeTestApps)

describe('rates', () => {
  test('a caller that asks too much waits as long as it is told; others do not', async () => {
    const small = await openTestApp({ rates: { principal: { burst: 4, per_s: 0.5 } } })
    const { client, organization_id } = await small.owner()
    const body = { name: 'other', role: 'viewer', organization_id } as const
    const other = (await client.call('api_keys_create', { body })).data.key
    await client.call('me')
    await client.call('me')
    const refused = await client.call('me').catch(error => error as ApiError)
    expect(refused).toMatchObject({ code: 'RATE_LIMITED', retry_after_s: 2 })
    expect((await small.client(other).call('me')).data.name).toBe('other')
    small.clock.advance(2_000)
    expect((await client.call('me')).data.name).toBe('owner@example.com')
  })

  test('an address without credentials is slowed, whatever X-Forwarded-For says', async () => {
    const small = await openTestApp({ rates: { address: { burst: 5, per_s: 1 } } })
    const codes = []
    for (let n = 0; n < 8; n++)
      codes.push((await small.fetch(api('/me'), { headers: { 'x-forwarded-for': `10.0.0.${n}` } })).status)
    expect(codes).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
    expect(await codeOf(small.client(undefined, { ip_address: '192.0.2.77' }).call('me'))).toBe(
      'UNAUTHENTICATED',
    )
  })
})
