import { beforeAll, describe, expect, test } from 'bun:test'
import { ApiError, ENDPOINTS, LIMITS } from '@nxmesh/contract'
import { api, codeOf, ORIGIN, openTestApp, type TestApp } from './testing.ts'

let app: TestApp
let token: string
const calls = { lift_hold: 0 }

beforeAll(async () => {
  app = await openTestApp({
    routes: {
      agents_get: async ({ query }) => {
        throw new Error(`secret detail of the machine ${query}`)
      },
      upstreams_get: async ({ params }) => ({ body: { data: { id: params.id } as never }, etag: 3 }),
      upstreams_update: async ({ if_match }) => {
        if (if_match !== null && if_match !== 3)
          throw new ApiError('PRECONDITION_FAILED', 'It is at version 3')
        return { body: { data: {}, meta: {} } as never, etag: 4 }
      },
      deployments_get: async () => ({ body: { data: {} } as never }),
      agents_lift_hold: async () => {
        calls.lift_hold++
        return { body: { data: {} } as never }
      },
    },
  })
  token = (await app.owner()).token
})

const ID = '0192f0c1-2d3e-7abc-8def-0123456789ab'
const headers = (more: Record<string, string> = {}) => ({ authorization: `Bearer ${token}`, ...more })
const post = (
  path: string,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
  more: Record<string, string> = {},
) =>
  app.fetch(api(path), {
    method: 'POST',
    body,
    headers: headers({ 'content-type': 'application/json', ...more }),
  })
const get = (path: string, more: Record<string, string> = {}) =>
  app.fetch(api(path), { headers: headers(more) })

async function refusal(response: Response | Promise<Response>) {
  const answer = await response
  const { error } = (await answer.json()) as {
    error: {
      code: string
      message: string
      details: { field: string; message: string }[]
      request_id: string
    }
  }
  return { ...error, status: answer.status, fields: error.details.map(one => one.field) }
}

describe('a request that cannot be read', () => {
  test.each([
    ['a key that is there twice', '{"name":"a","name":"b"}'],
    ['a key that is there twice, once escaped', '{"name":"a","n\\u0061me":"b"}'],
    ['__proto__', '{"name":"a","slug":"a","__proto__":{"x":1}}'],
    ['__proto__, escaped', '{"\\u005f_proto__":{}}'],
    ['depth 10,000', '['.repeat(10_000) + ']'.repeat(10_000)],
    ['half a document', '{"name":'],
    ['two documents', '{} {}'],
    ['a byte order mark', '\ufeff{}'],
    ['a comment', '{/* x */}'],
    ['NaN', '{"name":NaN}'],
  ])('%s', async (_what, body) => {
    expect(await refusal(post('/organizations', body))).toMatchObject({
      status: 400,
      code: 'MALFORMED_REQUEST',
    })
  })

  test('bytes that are not UTF-8', async () => {
    const body = new Uint8Array([0x22, 0xff, 0x22])
    expect(await refusal(post('/organizations', body))).toMatchObject({ code: 'MALFORMED_REQUEST' })
  })

  test('a body over the limit, declared or not', async () => {
    const body = ' '.repeat(LIMITS.body_bytes + 1)
    expect(await refusal(post('/organizations', body))).toMatchObject({
      status: 413,
      code: 'PAYLOAD_TOO_LARGE',
    })
    const stream = new ReadableStream({
      pull: controller => controller.enqueue(new TextEncoder().encode(' '.repeat(65_536))),
    })
    expect(await refusal(post('/organizations', stream))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  })

  test('JSON that is sent as something else, or compressed', async () => {
    const body = '{"name":"a","slug":"a"}'
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=latin1',
    ])
      expect(await refusal(post('/organizations', body, { 'content-type': type }))).toMatchObject({
        status: 415,
      })
    expect(await refusal(post('/organizations', body, { 'content-encoding': 'gzip' }))).toMatchObject({
      status: 415,
    })
  })

  test('a URL that is too long', async () => {
    expect(await refusal(get(`/organizations?page=${'1'.repeat(LIMITS.url_bytes)}`))).toMatchObject({
      status: 400,
    })
  })
})

describe('what is asked', () => {
  test('every wrong field is named by its dotted path', async () => {
    const found = await refusal(post('/organizations', '{"slug":"Not A Slug","role":"owner"}'))
    expect(found).toMatchObject({ status: 422, code: 'VALIDATION_ERROR', message: 'Invalid configuration' })
    expect(found.fields.sort()).toEqual(['name', 'role', 'slug'])
  })

  test('a nested field', async () => {
    const location = { path: '/', root: '/srv', custom_headers: [{ name: 'A B', value: 'x' }] }
    const body = { workspace_id: ID, name: 'a', server_name: 'a.com', listen_port: 80, locations: [location] }
    const found = await refusal(post('/virtual-hosts', JSON.stringify(body)))
    expect(found.fields).toEqual(['locations.0.custom_headers.0.name'])
  })

  test('a field that is not built yet says so', async () => {
    const upstream = {
      workspace_id: ID,
      name: 'a',
      servers: [{ address: 'a:80' }],
      health_check: { path: '/' },
    }
    const found = await refusal(post('/upstreams', JSON.stringify(upstream)))
    expect(found).toMatchObject({ status: 422, code: 'NOT_BUILT_YET', fields: ['health_check'] })
  })

  test('numbers that are none', async () => {
    const body = (port: string) =>
      `{"workspace_id":"${ID}","name":"a","server_name":"a.com","listen_port":${port},"locations":[{"path":"/","root":"/srv"}]}`
    for (const port of ['"80;"', '-1', '1e309', '9007199254740992', '80.5', 'null'])
      expect(new Set((await refusal(post('/virtual-hosts', body(port)))).fields)).toEqual(
        new Set(['listen_port']),
      )
  })

  test('query parameters: unknown, twice, out of range', async () => {
    expect((await refusal(get('/organizations?sort=name'))).fields).toEqual(['sort'])
    expect((await refusal(get('/organizations?page=1&page=2'))).fields).toEqual(['page'])
    expect((await refusal(get('/organizations?page=0'))).fields).toEqual(['page'])
    expect((await refusal(get('/me?x=1'))).fields).toEqual(['x'])
    expect((await refusal(get('/organizations?__proto__=1'))).status).toBe(422)
  })

  test('an id that is none', async () => {
    expect(await refusal(get('/upstreams/..%2f..%2fetc'))).toMatchObject({ status: 422, fields: ['id'] })
  })

  test('a body where none is taken', async () => {
    expect(await refusal(post('/auth/logout', '{"all":true}'))).toMatchObject({
      status: 422,
      fields: ['all'],
    })
  })
})

describe('paths and methods', () => {
  test('no such path', async () => {
    expect(await refusal(get('/nothing'))).toMatchObject({ status: 404, code: 'NOT_FOUND' })
    expect(await refusal(app.fetch('/'))).toMatchObject({ status: 404, code: 'NOT_FOUND' })
  })

  test('another method: 405 with Allow', async () => {
    const response = await app.fetch(api('/organizations'), { method: 'DELETE', headers: headers() })
    expect(response.headers.get('allow')).toBe('GET, HEAD, POST')
    expect(await refusal(response)).toMatchObject({ status: 405, code: 'METHOD_NOT_ALLOWED' })
    const options = await app.fetch(api('/agents/register'), { method: 'OPTIONS' })
    expect(options.status).toBe(405)
    expect(options.headers.get('allow')).toContain('POST')
  })

  test('HEAD answers as GET without a body', async () => {
    const response = await app.fetch(api('/me'), { method: 'HEAD', headers: headers() })
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  test('health, readiness and the OpenAPI document need no credentials', async () => {
    expect(await (await app.fetch('/healthz')).json()).toEqual({ status: 'ok' })
    expect(await (await app.fetch('/readyz')).json()).toEqual({ status: 'ready' })
    const document = (await (await app.fetch(api('/openapi.json'))).json()) as { openapi: string }
    expect(document.openapi).toBe('3.1.0')
  })
})

describe('who asks', () => {
  const guarded = Object.entries(ENDPOINTS).filter(([, row]) => typeof row.access === 'string')

  test('every guarded endpoint refuses without and with false credentials, before it reads anything', async () => {
    expect(guarded.length).toBeGreaterThan(30)
    for (const [, row] of guarded) {
      const path = api(row.path.replace(/\{\w+\}/g, ID))
      const init = (more: object) => ({ method: row.method, ...more })
      const body = row.method === 'GET' ? {} : { body: 'not json' }
      for (const authorization of [
        '',
        'Bearer',
        'Bearer x',
        `Bearer nxs_${'A'.repeat(43)}`,
        `Basic ${token}`,
      ]) {
        const response = app.fetch(path, init({ ...body, headers: authorization ? { authorization } : {} }), {
          ip_address: `2001:db8:${guarded.findIndex(one => one[1] === row).toString(16)}::1`,
        })
        expect(await refusal(response)).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' })
      }
    }
  })

  test('a 401 names the scheme', async () => {
    expect((await app.fetch(api('/me'))).headers.get('www-authenticate')).toBe('Bearer')
  })

  test('the page of another site cannot change anything', async () => {
    const body = '{"name":"a","slug":"from-a-page"}'
    for (const origin of [
      'https://evil.example',
      'null',
      'https://master.test',
      'http://master.test:80',
      'file://',
    ])
      expect(await refusal(post('/organizations', body, { origin }))).toMatchObject({
        status: 403,
        code: 'FORBIDDEN',
      })
    expect((await post('/organizations', body, { origin: ORIGIN })).status).toBe(201)
    expect(
      (await get('/me', { origin: 'https://evil.example' })).headers.get('access-control-allow-origin'),
    ).toBeNull()
  })
})

describe('what is answered', () => {
  test('every answer has the security headers and its own request id', async () => {
    const answers = [
      await get('/me'),
      await get('/nothing'),
      await app.fetch(api('/me')),
      await app.fetch('/healthz'),
    ]
    for (const { headers: got } of answers) {
      expect(got.get('x-content-type-options')).toBe('nosniff')
      expect(got.get('cache-control')).toBe('no-store')
      expect(got.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
      expect(got.get('referrer-policy')).toBe('no-referrer')
      expect(got.get('strict-transport-security')).toContain('max-age=')
      expect(got.get('content-type')).toBe('application/json; charset=utf-8')
    }
    expect(new Set(answers.map(one => one.headers.get('x-request-id'))).size).toBe(4)
    const plain = await app.fetch('/healthz', {}, { tls: false })
    expect(plain.headers.get('strict-transport-security')).toBeNull()
  })

  test('an unexpected failure tells the caller nothing, and the log everything under the request id', async () => {
    const found = await refusal(get(`/agents/${ID}`))
    expect(found).toMatchObject({ status: 500, code: 'INTERNAL', message: 'The master failed' })
    const line = app.logged.find(one => one.includes(found.request_id))
    expect(line).toContain('secret detail of the machine')
  })

  test('a version is answered as an ETag and honoured as If-Match', async () => {
    const path = `/upstreams/${ID}`
    expect((await get(path)).headers.get('etag')).toBe('"v3"')
    const patch = (if_match: string) =>
      app.fetch(api(path), {
        method: 'PATCH',
        body: '{}',
        headers: headers({ 'content-type': 'application/json', 'if-match': if_match }),
      })
    expect((await patch('"v3"')).headers.get('etag')).toBe('"v4"')
    expect((await patch('*')).status).toBe(200)
    expect(await refusal(patch('"v2"'))).toMatchObject({ status: 412, code: 'PRECONDITION_FAILED' })
    for (const wrong of ['v3', '"3"', 'W/"v3"', '"v3", "v4"', ''])
      expect(await refusal(patch(wrong))).toMatchObject({ status: 400 })
    const elsewhere = app.fetch(api(`/organizations/${ID}`), {
      method: 'PATCH',
      body: '{}',
      headers: headers({ 'content-type': 'application/json', 'if-match': '"v1"' }),
    })
    expect(await refusal(elsewhere)).toMatchObject({ status: 400, code: 'MALFORMED_REQUEST' })
  })

  test('a request that waits is kept from the idle timeout', async () => {
    await get(`/deployments/${ID}`)
    expect(app.held).toBe(0)
    await get(`/deployments/${ID}?wait=applied`)
    expect(app.held).toBe(1)
  })
})

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
      post('/api-keys', JSON.stringify({ name }), { 'idempotency-key': 'k-2', authorization })
    const { data } = (await (await create('one')).json()) as { data: { key: string } }
    expect(await refusal(create('two'))).toMatchObject({ status: 409, code: 'IDEMPOTENCY_CONFLICT' })
    expect((await create('three', `Bearer ${data.key}`)).status).toBe(201)
  })

  test('a token in a kept answer is not stored in clear', async () => {
    const answer = await post('/api-keys', '{"name":"kept"}', { 'idempotency-key': 'k-3' })
    const { data } = (await answer.json()) as { data: { key: string } }
    const stored = JSON.stringify(
      await app.database.read.selectFrom('idempotency_keys').selectAll().execute(),
    )
    expect(stored).not.toContain(data.key)
    expect(stored).not.toContain(Buffer.from(data.key).toString('base64'))
    const again = await post('/api-keys', '{"name":"kept"}', { 'idempotency-key': 'k-3' })
    expect(((await again.json()) as { data: { key: string } }).data.key).toBe(data.key)
  })

  test('of two at once one runs', async () => {
    const create = () => post('/organizations', '{"name":"x","slug":"at-once"}', { 'idempotency-key': 'k-4' })
    const statuses = (await Promise.all([create(), create()])).map(one => one.status).sort()
    expect(statuses).toEqual([201, 409])
    expect((await create()).status).toBe(201)
  })

  test('a refusal is kept; a failure of the master is not', async () => {
    const twice = () => post('/organizations', '{"name":"x","slug":"at-once"}', { 'idempotency-key': 'k-5' })
    const [a, b] = [await refusal(twice()), await refusal(twice())]
    expect(a).toEqual(b)
    expect(a).toMatchObject({ status: 409, code: 'CONFLICT', fields: ['slug'] })
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
    token = (
      await app
        .client()
        .call('login', { body: { email: 'owner@example.com', password: 'correct horse battery' } })
    ).data.token
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

describe('rates', () => {
  test('a caller that asks too much waits as long as it is told; others do not', async () => {
    const small = await openTestApp({ rates: { principal: { burst: 3, per_s: 0.5 } } })
    const { client } = await small.owner()
    const other = (await client.call('api_keys_create', { body: { name: 'other' } })).data.key
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
