import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import { ApiError, type ErrorCode, LIMITS } from '@nxmesh/contract'
import { everyClass } from '../http/rate-limiter.ts'
import { closeTestApps, codeOf, OWNER, openTestApp, type TestApp } from '../http/testing.ts'

afterAll(closeTestApps)

let app: TestApp
beforeEach(async () => {
  // The general rate for addresses is not what is tried here.
  app = await openTestApp({ rates: { address: everyClass({ burst: 1e9, per_s: 1e9 }) } })
  await app.owner()
})
const login = (ip_address: string, password: string, email: string = OWNER.email) =>
  codeOf(attempt(ip_address, JSON.stringify({ email, password })))
/** As a client sends it: with the length of its body. */
async function attempt(ip_address: string, body: string) {
  const headers = { 'content-type': 'application/json', 'content-length': String(body.length) }
  const answer = await app.fetch('/api/v1/auth/login', { method: 'POST', headers, body }, { ip_address })
  const { error } = (await answer.json()) as { error?: { code: ErrorCode; message: string } }
  if (error) throw new ApiError(error.code, error.message)
}
const entered = { succeeded: undefined }
const counts = (codes: readonly unknown[]) => {
  const by_code: Record<string, number> = {}
  for (const code of codes) by_code[String(code)] = (by_code[String(code)] ?? 0) + 1
  return by_code
}

describe('10,000 wrong log-ins', () => {
  test('from one address: ten are looked at, and the owner gets in from elsewhere', async () => {
    const codes = []
    for (let n = 0; n < 10_000; n++) codes.push(await login('203.0.113.9', `guess number ${n}`))
    const by_code = counts(codes)
    expect(by_code.INVALID_CREDENTIALS).toBe(LIMITS.login_burst_attempts)
    expect(by_code.RATE_LIMITED).toBe(10_000 - LIMITS.login_burst_attempts)
    expect(await login('198.51.100.7', OWNER.password)).toEqual(entered)
  })

  test('from 2,500 addresses at once: few are looked at, the owner gets in where she is known, and elsewhere after them', async () => {
    const flood = Array.from({ length: 10_000 }, (_, n) =>
      login(`203.${(n >> 8) % 10}.${n & 0xff}.1`, `guess number ${n}`),
    )
    const known = await login('192.0.2.1', OWNER.password)
    expect(known).toEqual(entered)
    const by_code = counts(await Promise.all(flood))
    expect(by_code.INVALID_CREDENTIALS ?? 0).toBeLessThan(500)
    expect(await login('198.51.100.8', OWNER.password)).toEqual(entered)
    const rows = await app.database.read.selectFrom('audit_log').select('id').execute()
    expect(rows.length).toBeLessThan(300)
  })

  test('claimed addresses change nothing', async () => {
    const codes = []
    for (let n = 0; n < 30; n++) {
      const answer = await app.fetch('/api/v1/auth/login', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-forwarded-for': `10.0.0.${n}`,
          forwarded: `for=10.1.0.${n}`,
        },
        body: JSON.stringify({ email: OWNER.email, password: 'a wrong password' }),
      })
      codes.push(answer.status)
    }
    expect(codes.filter(code => code === 401)).toHaveLength(LIMITS.login_burst_attempts)
  })
})
