import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract'
import { closeTestApps, OWNER, openTestApp, refusal, requests, type TestApp } from './testing.ts'

afterAll(closeTestApps)

let app: TestApp
let token: string
let organization_id: string
const calls = { lift_hold: 0, tokens: 0 }

beforeAll(async () => {
  app = await openTestApp({
    routes: {
      agents_lift_hold: async () => {
        calls.lift_hold++
        return { body: { data: {} } as never }
      },
      agent_tokens_create: async () => {
        calls.tokens++
        if (calls.tokens === 1) throw new Error('The disk was full')
        return { body: { data: {} } as never, login_binding: BINDING }
      },
    },
  })
  const owner = await app.owner()
  token = owner.token
  organization_id = owner.organization_id
})

const BINDING = 'a-cookie-for-this-browser-only'
const ID = '0192f0c1-2d3e-7abc-8def-0123456789ab'
const { post } = requests(
  () => app,
  () => token,
)

describe('Idempotency-Key', () => {
  test('the same request again gets the same answer, and nothing happens twice', async () => {
    const path = `/agents/${ID}/lift-hold`
    const [a, b] = [
      await post(path, '', { 'idempotency-key': 'k-1' }),
      await post(path, '', { 'idempotency-key': 'k-1' }),
    ]
    expect([a.status, b.status, calls.lift_hold]).toEqual([200, 200, 1])
    expect(b.headers.get('idempotent-replayed')).toBe('true')
    expect(await b.text()).toBe(await a.text())
  })

  test('another request under the key is refused; another caller’s key is his own', async () => {
    const create = (name: string, authorization = `Bearer ${token}`) =>
      post('/api-keys', JSON.stringify({ name, role: 'owner', organization_id }), {
        'idempotency-key': 'k-2',
        authorization,
      })
    const { data } = (await (await create('one')).json()) as { data: { key: string } }
    expect(await refusal(create('two'))).toMatchObject({ status: 409, code: 'IDEMPOTENCY_CONFLICT' })
    expect((await create('three', `Bearer ${data.key}`)).status).toBe(201)
  })

  test('a token in a kept answer is not stored in clear', async () => {
    const answer = await post('/api-keys', JSON.stringify({ name: 'kept', role: 'owner', organization_id }), {
      'idempotency-key': 'k-3',
    })
    const { data } = (await answer.json()) as { data: { key: string } }
    const stored = JSON.stringify(
      await app.database.read.selectFrom('idempotency_keys').selectAll().execute(),
    )
    expect(stored).not.toContain(data.key)
    expect(stored).not.toContain(Buffer.from(data.key).toString('base64'))
    const again = await post('/api-keys', JSON.stringify({ name: 'kept', role: 'owner', organization_id }), {
      'idempotency-key': 'k-3',
    })
    expect(((await again.json()) as { data: { key: string } }).data.key).toBe(data.key)
  })

  test('a cookie in a kept answer is not stored in clear', async () => {
    const begin = () => post(`/agents/${ID}/tokens`, '{}', { 'idempotency-key': 'k-8' })
    calls.tokens = 1
    const cookie = (await begin()).headers.get('set-cookie') ?? ''
    expect(cookie).toContain(BINDING)
    const stored = await app.database.read.selectFrom('idempotency_keys').selectAll().execute()
    expect(JSON.stringify(stored)).not.toContain(BINDING)
    expect((await begin()).headers.get('set-cookie')).toBe(cookie)
    calls.tokens = 0
  })

  test('of two at once one runs', async () => {
    const create = () => post('/organizations', '{"name":"x","slug":"at-once"}', { 'idempotency-key': 'k-4' })
    const statuses = (await Promise.all([create(), create()])).map(one => one.status).sort()
    expect(statuses).toEqual([201, 409])
    expect((await create()).status).toBe(201)
  })

  test('a refusal is an answer as well', async () => {
    const twice = () => post('/organizations', '{"name":"x","slug":"at-once"}', { 'idempotency-key': 'k-5' })
    const [a, b] = [await refusal(twice()), await refusal(twice())]
    expect(a).toEqual(b)
    expect(a).toMatchObject({ status: 409, code: 'CONFLICT', fields: ['slug'] })
  })

  test('a failure of the master is not kept: trying again is what the caller shall do', async () => {
    const make = () => post(`/agents/${ID}/tokens`, '{}', { 'idempotency-key': 'k-7' })
    expect([(await make()).status, (await make()).status, (await make()).status]).toEqual([500, 201, 201])
    expect(calls.tokens).toBe(2)
  })

  test('a request that a dead master left behind runs again; after a day a key is free', async () => {
    await post('/organizations', '{"name":"x","slug":"left-behind"}', { 'idempotency-key': 'k-6' })
    await app.database.write(async tx => {
      const gone = { status: null, body: null, headers_json: null }
      await tx.updateTable('idempotency_keys').set(gone).where('idempotency_key', '=', 'k-6').execute()
    })
    const again = await post('/organizations', '{"name":"x","slug":"left-behind"}', {
      'idempotency-key': 'k-6',
    })
    expect(again.status).toBe(409)
    app.clock.advance(LIMITS.idempotency_keep_h * 3_600_000 + 1)
    token = (await app.client().call('login', { body: OWNER })).data.token
    const other = await post('/organizations', '{"name":"x","slug":"a-day-later"}', {
      'idempotency-key': 'k-6',
    })
    expect(other.status).toBe(201)
  })

  test('a key that is too long or has spaces', async () => {
    for (const key of ['a b', 'x'.repeat(LIMITS.idempotency_key_chars + 1)])
      expect(await refusal(post('/organizations', '{}', { 'idempotency-key': key }))).toMatchObject({
        status: 422,
      })
    const body = '{"name":"x","slug":"key"}'
    expect(await refusal(post('/organizations', body, { 'idempotency-key': 'a b' }))).toMatchObject({
      status: 400,
    })
  })
})
