import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { LIMITS } from '@nxmesh/contract'
import { exportSPKI, generateKeyPair, importJWK, SignJWT, UnsecuredJWT } from 'jose'
import { forEachEngine } from '../database/testing.ts'
import { api, closeTestApps, codeOf, OWNER, openTestApp, type TestApp } from '../http/testing.ts'

afterAll(closeTestApps)

const cookieOf = (answer: Response) => answer.headers.get('set-cookie') ?? ''
const refreshIn = (cookie: string) => /^nxmesh_refresh=([^;]*)/.exec(cookie)?.[1] ?? ''

forEachEngine((_engine, open) => {
  let app: TestApp
  let count = 0
  beforeAll(async () => {
    app = await openTestApp({ database: await open() })
    await app.owner()
  })
  const login = async () => {
    const answer = await app.fetch(
      api('/auth/login'),
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': 'Test/1.0é' },
        body: JSON.stringify({ email: OWNER.email, password: OWNER.password }),
      },
      { ip_address: `203.0.113.${++count}` },
    )
    const { data } = (await answer.json()) as { data: { token: string; session_id: string } }
    return { ...data, cookie: cookieOf(answer), refresh_token: refreshIn(cookieOf(answer)) }
  }
  const refresh = async (refresh_token: string | null, headers: Record<string, string> = {}) => {
    const cookie = refresh_token === null ? {} : { cookie: `a=b; nxmesh_refresh=${refresh_token}` }
    return await app.fetch(api('/auth/refresh'), { method: 'POST', headers: { ...cookie, ...headers } })
  }
  const isGood = async (token: string) => (await codeOf(app.client(token).call('me'))) !== 'UNAUTHENTICATED'

  describe('the refresh cookie', () => {
    test('is out of reach of scripts, of other sites and of plain text', async () => {
      const { cookie } = await login()
      for (const part of ['HttpOnly', 'SameSite=Strict', 'Secure', 'Path=/api/v1'])
        expect(cookie).toContain(part)
      expect(cookie).not.toContain('Domain')
    })

    test('is exchanged for the next access token, and changes each time', async () => {
      const first = await login()
      const answer = await refresh(first.refresh_token)
      expect(answer.status).toBe(200)
      const { data } = (await answer.json()) as { data: { token: string; session_id: string } }
      expect(data.session_id).toBe(first.session_id)
      expect(await isGood(data.token)).toBe(true)
      expect(refreshIn(cookieOf(answer))).not.toBe(first.refresh_token)
      const stored = await app.database.read.selectFrom('sessions').selectAll().execute()
      expect(JSON.stringify(stored)).not.toContain(first.refresh_token)
      expect(stored.find(row => row.id === first.session_id)?.user_agent).toBe('Test/1.0?')
    })

    test('that is used twice ends the session for both', async () => {
      const first = await login()
      const second = refreshIn(cookieOf(await refresh(first.refresh_token)))
      expect((await refresh(first.refresh_token)).status).toBe(401)
      expect((await refresh(second)).status).toBe(401)
      expect(await isGood(first.token)).toBe(false)
      const rows = await app.database.read
        .selectFrom('audit_log')
        .select(['object_id', 'after_json'])
        .where('action', '=', 'session.refresh')
        .execute()
      expect(rows.find(row => row.object_id === first.session_id)?.after_json).toContain(
        'refresh_token_reused',
      )
    })

    test('of two exchanges at once one wins, and the session ends', async () => {
      const { refresh_token } = await login()
      const both = await Promise.all([refresh(refresh_token), refresh(refresh_token)])
      const won = both.filter(one => one.status === 200)
      expect(won.length).toBeLessThanOrEqual(1)
      for (const one of won) expect((await refresh(refreshIn(cookieOf(one)))).status).toBe(401)
    })

    test.each([
      ['none', null],
      ['one that is made up', 'nxr_'.padEnd(47, 'A')],
      ['an API key', 'nxk_'.padEnd(47, 'A')],
      ['rubbish', '"><script>'],
    ])('%s is refused', async (_what, value) => {
      expect((await refresh(value)).status).toBe(401)
    })

    test('two of them, or one from another site’s page, are refused', async () => {
      const { refresh_token } = await login()
      const twice = { cookie: `nxmesh_refresh=${refresh_token}; nxmesh_refresh=${refresh_token}` }
      expect((await refresh(null, twice)).status).toBe(401)
      expect((await refresh(refresh_token, { origin: 'https://evil.example' })).status).toBe(403)
    })

    test('ends with the log-out, and after its time', async () => {
      const first = await login()
      await app.client(first.token).call('logout')
      expect((await refresh(first.refresh_token)).status).toBe(401)
      const idle = await login()
      app.clock.advance(LIMITS.session_idle_h * 3_600_000)
      expect((await refresh(idle.refresh_token)).status).toBe(401)
      let { refresh_token } = await login()
      for (let h = 0; h < LIMITS.session_max_h; h += 8) {
        app.clock.advance(8 * 3_600_000)
        refresh_token = refreshIn(cookieOf(await refresh(refresh_token)))
      }
      expect(refresh_token).toBe('')
    })
  })

  describe('an access token', () => {
    const claims = { sid: '01900000-0000-7000-8000-000000000000' }
    const kidOf = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
    const payloadOf = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

    test('without a signature, or by an algorithm of the sender’s choice, is refused', async () => {
      const { token } = await login()
      const payload = payloadOf(token)
      expect(await isGood(new UnsecuredJWT(payload).encode())).toBe(false)
      const [, body] = token.split('.')
      const header = (alg: string) =>
        Buffer.from(JSON.stringify({ alg, kid: kidOf(token), typ: 'at+jwt' })).toString('base64url')
      for (const alg of ['none', 'None', 'EdDSA', 'HS256'])
        expect(await isGood(`${header(alg)}.${body}.`)).toBe(false)
      const row = await app.database.read.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow()
      const public_key = await importJWK(JSON.parse(row.public_jwk_json), 'EdDSA')
      const secrets = [row.public_jwk_json, await exportSPKI(public_key as never)]
      for (const secret of secrets) {
        const signed = `${header('HS256')}.${body}`
        const mac = createHmac('sha256', secret).update(signed).digest('base64url')
        expect(await isGood(`${signed}.${mac}`)).toBe(false)
      }
    })

    test.each([
      ['another audience', { aud: 'elsewhere' }],
      ['another issuer', { iss: 'nxmesh:other' }],
      ['no session', { sid: undefined }],
      ['no subject', { sub: undefined }],
      ['an end in the past', { exp: 1 }],
    ])('signed by the right key for %s is refused', async (_what, change) => {
      const { token } = await login()
      const { sealedKey } = await currentKey()
      const payload = { ...payloadOf(token), ...change }
      const sign = new SignJWT(payload).setProtectedHeader({ alg: 'EdDSA', kid: kidOf(token), typ: 'at+jwt' })
      expect(await isGood(await sign.sign(sealedKey))).toBe(false)
      const control = new SignJWT(payloadOf(token)).setProtectedHeader({
        alg: 'EdDSA',
        kid: kidOf(token),
        typ: 'at+jwt',
      })
      expect(await isGood(await control.sign(sealedKey))).toBe(true)
    })

    test('with an odd key id, or signed by somebody else, is refused', async () => {
      const { token } = await login()
      const other = await generateKeyPair('EdDSA', { extractable: true })
      for (const kid of [kidOf(token), '../../etc/passwd', "' or 1=1 --", '', '__proto__', undefined]) {
        const header = { alg: 'EdDSA', typ: 'at+jwt', ...(kid === undefined ? {} : { kid }) }
        const forged = new SignJWT({ ...payloadOf(token), ...claims }).setProtectedHeader(header)
        expect(await isGood(await forged.sign(other.privateKey))).toBe(false)
      }
      const [header, body, signature = ''] = token.split('.')
      const flipped = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`
      expect(await isGood(`${header}.${body}.${flipped}`)).toBe(false)
    })

    test('is signed by a new key after a month; the old key’s last tokens stay good', async () => {
      const before = await login()
      app.clock.advance(31 * 86_400_000 - 60_000)
      const last = await login()
      app.clock.advance(60_000)
      const after = await login()
      expect(kidOf(after.token)).not.toBe(kidOf(before.token))
      expect(await isGood(after.token)).toBe(true)
      expect(await isGood(before.token)).toBe(false)
      expect(await isGood(last.token)).toBe(true)
    })
  })

  async function currentKey() {
    const row = await app.database.read
      .selectFrom('signing_keys')
      .selectAll()
      .where('retired_at', 'is', null)
      .executeTakeFirstOrThrow()
    const opened = await app.secrets.open(row.sealed_key, `signing_keys/${row.id}`, {
      purpose: 'token_signing',
    })
    const jwk = Buffer.from(opened).toString()
    return { sealedKey: (await importJWK(JSON.parse(jwk), 'EdDSA')) as CryptoKey }
  }
})
