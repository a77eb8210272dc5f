import { describe, expect, test } from 'bun:test'
import { makeClient } from './client.ts'
import { ApiError } from './errors.ts'

const ID = '0192f0c1-2d3e-7abc-8def-0123456789ab'

/** A real server on a free port that answers with what the test gives and keeps what it got. */
function serve(answer: () => Response) {
  const got: { method: string; url: string; headers: Headers; body: string }[] = []
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async request => {
      const { pathname, search } = new URL(request.url)
      got.push({
        method: request.method,
        url: pathname + search,
        headers: request.headers,
        body: await request.text(),
      })
      return answer()
    },
  })
  const base_url = `http://127.0.0.1:${server.port}/`
  return { base_url, got, [Symbol.asyncDispose]: () => server.stop(true) }
}

describe('the client', () => {
  test('sends what an endpoint asks for', async () => {
    await using server = serve(() => Response.json({ data: { id: ID }, meta: {} }))
    const client = makeClient({ base_url: server.base_url, token: 'nxk_x' })
    const answer = await client.call('virtual_hosts_update', {
      params: { id: ID },
      query: { wait: 'applied', timeout_s: 5 },
      body: { gzip_enabled: true },
      if_match: 3,
      idempotency_key: 'k',
    })
    expect(answer.data.id).toBe(ID)
    const [sent] = server.got
    expect(sent?.method).toBe('PATCH')
    expect(sent?.url).toBe(`/api/v1/virtual-hosts/${ID}?wait=applied&timeout_s=5`)
    expect(JSON.parse(sent?.body ?? '')).toEqual({ gzip_enabled: true })
    const header = (name: string) => sent?.headers.get(name)
    expect([header('authorization'), header('if-match'), header('idempotency-key')]).toEqual([
      'Bearer nxk_x',
      '"v3"',
      'k',
    ])
  })

  test('a parameter cannot leave its place in the path', async () => {
    await using server = serve(() => Response.json({ data: {} }))
    await makeClient({ base_url: server.base_url }).call('agents_get', { params: { id: '../users?x=1#' } })
    expect(server.got[0]?.url).toBe('/api/v1/agents/..%2Fusers%3Fx%3D1%23')
  })

  test('an answer without content is undefined', async () => {
    await using server = serve(() => new Response(null, { status: 204 }))
    expect(await makeClient({ base_url: server.base_url }).call('logout')).toBeUndefined()
  })

  test('an error comes back as it was made', async () => {
    const details = [{ field: 'server_name', message: 'Invalid domain format' }]
    const error = { code: 'VALIDATION_ERROR', message: 'Invalid configuration', details }
    await using server = serve(() => Response.json({ error }, { status: 422 }))
    const thrown = await makeClient({ base_url: server.base_url })
      .call('me')
      .catch(refused => refused)
    expect(thrown).toBeInstanceOf(ApiError)
    expect(thrown).toMatchObject({ ...error, status: 422 })
  })

  test('the seconds to wait come along', async () => {
    const error = { code: 'RATE_LIMITED', message: 'Too many requests', details: [] }
    await using server = serve(() =>
      Response.json({ error }, { status: 429, headers: { 'retry-after': '7' } }),
    )
    const thrown = await makeClient({ base_url: server.base_url })
      .call('me')
      .catch(refused => refused)
    expect(thrown.retry_after_s).toBe(7)
  })

  test('what is not an answer of the master is UNAVAILABLE', async () => {
    for (const make of [
      () => new Response('<h1>Bad Gateway</h1>', { status: 502 }),
      () => new Response('<h1>Welcome</h1>'),
      () => Response.json({ error: { code: 'constructor', message: 'x' } }, { status: 400 }),
      () => Response.json(null, { status: 500 }),
      () => Response.redirect('https://elsewhere.example/'),
    ]) {
      await using server = serve(make)
      const thrown = await makeClient({ base_url: server.base_url })
        .call('me')
        .catch(refused => refused)
      expect(thrown).toMatchObject({ code: 'UNAVAILABLE' })
    }
  })

  test('a master that is not there is UNAVAILABLE and named', async () => {
    const server = serve(() => new Response())
    await server[Symbol.asyncDispose]()
    const thrown = await makeClient({ base_url: server.base_url })
      .call('me')
      .catch(refused => refused)
    expect(thrown).toMatchObject({ code: 'UNAVAILABLE' })
    expect(thrown.message).toContain(new URL(server.base_url).origin)
  })
})
