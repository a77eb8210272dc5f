import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ApiError, ENDPOINTS, LIMITS } from '@nxmesh/contract'
import { api, closeTestApps, ORIGIN, openTestApp, refusal, requests, type TestApp } from './testing.ts'

afterAll(closeTestApps)

let app: TestApp
let token: string

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
    },
  })
  token = (await app.owner()).token
})

const ID = '0192f0c1-2d3e-7abc-8def-0123456789ab'
const { headers, post, get } = requests(
  () => app,
  () => token,
)

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

  test('a large body from someone who has shown no credentials', async () => {
    const large = JSON.stringify({ email: 'a@example.com', password: 'x'.repeat(LIMITS.public_body_bytes) })
    for (const path of ['/auth/login', '/setup', '/agents/register'])
      expect(await refusal(post(path, large))).toMatchObject({ status: 413, code: 'PAYLOAD_TOO_LARGE' })
    const unbounded = new ReadableStream({
      pull: controller => controller.enqueue(new TextEncoder().encode(' '.repeat(4_096))),
    })
    expect(await refusal(post('/auth/login', unbounded))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
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
        `Bearer ${'A'.repeat(20)}.${'B'.repeat(40)}.${'C'.repeat(86)}`,
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
    for (const site of ['cross-site', 'same-site', 'same-origin', 'none']) {
      const answer = await post('/organizations', '{}', { 'sec-fetch-site': site })
      expect([site, answer.status]).toEqual([site, site === 'cross-site' ? 403 : 422])
    }
    expect((await post('/organizations', body, { origin: ORIGIN })).status).toBe(201)
    expect(
      (await get('/me', { origin: 'https://evil.example' })).headers.get('access-control-allow-origin'),
    ).toBeNull()
  })
})

describe('what is answered', () => {
  test('every answer has a request id of its own', async () => {
    const answers = [
      await get('/me'),
      await get('/nothing'),
      await app.fetch(api('/me')),
      await app.fetch('/healthz'),
    ]
    expect(new Set(answers.map(one => one.headers.get('x-request-id'))).size).toBe(4)
  })

  test('an unexpected failure tells the caller nothing, and the log everything under the request id', async () => {
    const found = await refusal(get(`/agents/${ID}`))
    expect(found).toMatchObject({ status: 500, code: 'INTERNAL', message: 'The master failed' })
    const line = app.logged.find(one => one.includes(found.request_id))
    expect(line).toContain('secret detail of the machine')
  })

  test('a body that is no JSON is quoted in no log: it may hold a password', async () => {
    for (const body of ['{"password":CORRECT_horse}', '{"CORRECT_horse\\":', '"CORRECT_horse'])
      expect(await refusal(post('/upstreams', body))).toMatchObject({ code: 'MALFORMED_REQUEST' })
    expect(app.logged.join()).not.toContain('CORRECT_horse')
  })

  test('If-Match where nothing is compared is refused, not ignored', async () => {
    for (const path of ['/upstreams', '/organizations'])
      expect(await refusal(post(path, '{}', { 'if-match': '"v1"' }))).toMatchObject({
        code: 'MALFORMED_REQUEST',
        message: 'This endpoint does not honour If-Match',
      })
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
