import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { LIMITS, ROLE_IDS } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { api, closeTestApps, OWNER, openTestApp, type TestApp } from '../http/testing.ts'

afterAll(closeTestApps)

const from = { ip_address: '192.0.2.1', request_id: 'test' }

forEachEngine((_engine, open) => {
  describe('who stays at an open door', () => {
    let app: TestApp
    let owner: Awaited<ReturnType<TestApp['owner']>>
    beforeAll(async () => {
      app = await openTestApp({ database: await open() })
      owner = await app.owner()
    })
    const login = async () => {
      const response = await app.fetch(api('/auth/login'), {
        method: 'POST',
        body: JSON.stringify(OWNER),
        headers: { 'content-type': 'application/json' },
      })
      const { data } = (await response.json()) as { data: { token: string; session_id: string } }
      const cookie = response.headers.get('set-cookie')?.split(';')[0] ?? ''
      return { ...data, cookie, refresh_token: cookie.split('=')[1] ?? '' }
    }

    test('with an access token stays until that ends, and no longer than the session', async () => {
      const { token, session_id } = await login()
      const standing = await app.standings.ofToken(token, from)
      if (!standing) throw new Error('not known')
      const left_ms = standing.ends_ms - app.clock.now().getTime()
      expect(left_ms).toBeGreaterThan(LIMITS.access_token_s * 1_000 - 2_000)
      expect(left_ms).toBeLessThanOrEqual(LIMITS.access_token_s * 1_000)
      expect(standing.caller).toMatchObject({ door: 'events', session_id, email: OWNER.email })
      expect((await app.standings.again(standing))?.ends_ms).toBe(standing.ends_ms)
      await app.client(token).call('logout')
      expect(await app.standings.again(standing)).toBeNull()
      expect(await app.standings.ofToken(token, from)).toBeNull()
    })

    test('with a cookie stays as long as the session, and does not use the cookie up', async () => {
      const { cookie, refresh_token } = await login()
      const standing = await app.standings.ofRefreshToken(refresh_token, from)
      if (!standing) throw new Error('not known')
      expect(standing.ends_ms - app.clock.now().getTime()).toBe(LIMITS.session_idle_h * 3_600_000)
      const refresh = () => app.fetch(api('/auth/refresh'), { method: 'POST', headers: { cookie } })
      expect((await refresh()).status).toBe(200)
      expect(await app.standings.again(standing)).not.toBeNull()
      // The one that was exchanged says nothing any more; the session lives on.
      expect(await app.standings.ofRefreshToken(refresh_token, from)).toBeNull()
      expect(await app.standings.again(standing)).not.toBeNull()
    })

    test('with an API key stays until it is revoked', async () => {
      const body = { name: 'reader', role: ROLE_IDS.viewer, organization_id: owner.organization_id }
      const { id, key } = (await owner.client.call('api_keys_create', { body })).data
      const standing = await app.standings.ofToken(key, from)
      if (!standing) throw new Error('not known')
      expect(standing.ends_ms).toBe(Number.POSITIVE_INFINITY)
      expect(standing.caller.grants).toMatchObject([{ organization_id: owner.organization_id }])
      await owner.client.call('api_keys_delete', { params: { id } })
      expect(await app.standings.again(standing)).toBeNull()
    })

    test('is asked for anew each time: a change that nobody told of counts', async () => {
      const { token } = await login()
      const standing = await app.standings.ofToken(token, from)
      if (!standing) throw new Error('not known')
      const { id } = standing.caller.principal
      const set = (status: string) =>
        app.database.write(async tx => {
          await tx
            .updateTable('users')
            .set({ status })
            .where('id', '=', id ?? '')
            .execute()
        })
      await set('disabled')
      expect(await app.standings.again(standing)).toBeNull()
      await set('active')
      expect(await app.standings.again(standing)).not.toBeNull()
    })
  })
})
