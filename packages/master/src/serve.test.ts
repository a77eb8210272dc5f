import { afterAll, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { networksOf } from './addresses.ts'
import { loadMaker } from './certificates/load-maker.ts'
import { api, OWNER, openTestApp } from './http/testing.ts'
import { MASTER_LIMITS } from './limits.ts'
import { type Listener, listenPlain, listenTls } from './serve.ts'
import { until } from './testing-until.ts'

const app = await openTestApp()
const listener: Listener = listenPlain({ host: '127.0.0.1', port: 0 }, { fetch: request => app.raw(request) })
afterAll(() => listener.stop(0))

/** The status of the answer to a request as it is written here. */
function statusOf(request: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(listener.port, '127.0.0.1', () => socket.write(request))
    let answer = ''
    socket.on('error', reject)
    socket.on('data', data => {
      answer += data
      const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]
      if (status === undefined) return
      socket.destroy()
      resolve(Number(status))
    })
    socket.on('close', () => reject(new Error(`no answer: ${answer}`)))
  })
}

// Old health checks send HTTP/1.0 without a Host; of others the Host is nothing that a URL could hold.
const HEADS = [' HTTP/1.0\r\n\r\n', ' HTTP/1.1\r\nHost: \r\n\r\n', ' HTTP/1.1\r\nHost: a b\r\n\r\n']

test.each(HEADS)('without a usable Host a path is still the whole path: %j', async head => {
  expect(await statusOf(`GET /healthz${head}`)).toBe(200)
  expect(await statusOf(`GET /healthz?x=1${head}`)).toBe(200)
  expect(await statusOf(`GET /api/v1/me${head}`)).toBe(401)
  for (const before of ['/x', '/xx', '/private', '//x'])
    expect(await statusOf(`GET ${before}/healthz${head}`)).toBe(404)
})

test('of the certificates that were replaced, only so many keep their sockets: the oldest end', async () => {
  const { makeCa, makeServerCertificate } = await loadMaker()
  const ca = await makeCa(new Date())
  const made = await makeServerCertificate(ca, ['127.0.0.1'], new Date())
  const shown = { chain_pem: made.certificate_pem, key_pem: made.key_pem }
  const door = { upgrade: async () => undefined, websocket: { message: () => undefined } }
  const held: (() => void)[] = []
  const never = {
    fetch: () => new Promise<Response>(resolve => held.push(() => resolve(new Response('late')))),
  }
  const tls = listenTls({ host: '127.0.0.1', port: 0 }, shown, never, door)
  const sockets: ReturnType<typeof connectTls>[] = []
  for (let n = 0; n < MASTER_LIMITS.listeners_replaced + 2; n++) {
    const socket = connectTls({ host: '127.0.0.1', port: tls.port, ca: ca.certificate_pem })
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    sockets.push(socket)
    await until('the request', () => held.length === n + 1)
    tls.replace(shown)
  }
  await until('the oldest to end', () => sockets[0]?.closed === true && sockets[1]?.closed === true)
  expect(sockets.slice(2).map(socket => socket.closed)).not.toContain(true)
  for (const end of held) end()
  for (const socket of sockets) socket.destroy()
  await tls.stop(0)
})

test('a cookie is for TLS alone where a trusted proxy says that it was asked over TLS', async () => {
  await app.owner()
  const cookieBehind = async (cidrs: readonly string[], proto: string) => {
    const plain = listenPlain(
      { host: '127.0.0.1', port: 0 },
      {
        fetch: async (request, connection) => {
          const { method, headers } = request
          const init = { method, headers, body: await request.text() }
          return await app.fetch(new URL(request.url).pathname, init, { tls: connection.tls })
        },
      },
      { trusted: networksOf(cidrs) },
    )
    const answer = await fetch(`http://127.0.0.1:${plain.port}${api('/auth/login')}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-proto': proto },
      body: JSON.stringify(OWNER),
    })
    await plain.stop(0)
    return answer.headers.get('set-cookie')
  }
  expect(await cookieBehind(['127.0.0.1/32'], 'https')).toEndWith('; Secure')
  for (const [cidr, proto] of [
    ['127.0.0.1/32', 'http'],
    ['127.0.0.1/32', 'https, http'],
    ['192.0.2.0/24', 'https'],
  ] as const)
    expect(await cookieBehind([cidr], proto)).toEndWith('; SameSite=Strict')
})

/** A listener before the same application, for a peer on loopback that is a trusted proxy or is not. */
function listenTrusting(cidrs: readonly string[]) {
  const forwarding = listenPlain(
    { host: '127.0.0.1', port: 0 },
    {
      fetch: async (request, { ip_address }) => {
        const { method, headers } = request
        return await app.fetch(
          new URL(request.url).pathname,
          { method, headers, body: await request.text() },
          { ip_address },
        )
      },
    },
    { trusted: networksOf(cidrs) },
  )
  const login = async (email: string, forwarded_for: string) => {
    const answer = await fetch(`http://127.0.0.1:${forwarding.port}${api('/auth/login')}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': forwarded_for },
      body: JSON.stringify({ email, password: 'not the password' }),
    })
    return answer.status
  }
  return { forwarding, login }
}

/** The statuses of so many attempts, each for another account and with another address in X-Forwarded-For. */
async function attempts(cidrs: readonly string[]): Promise<Map<number, number>> {
  const { forwarding, login } = listenTrusting(cidrs)
  const counted = new Map<number, number>()
  for (let n = 0; n < 70; n++) {
    const status = await login(`user-${n}-${cidrs.length}@example.com`, `203.0.113.${n}`)
    counted.set(status, (counted.get(status) ?? 0) + 1)
  }
  await forwarding.stop(0)
  return counted
}

test('who guesses passwords gains nothing by another X-Forwarded-For each time; behind a trusted proxy clients are told apart', async () => {
  const untrusted = await attempts([])
  expect(untrusted.get(429) ?? 0).toBeGreaterThan(0)
  expect(await attempts(['192.0.2.0/24'])).not.toEqual(new Map([[401, 70]]))
  expect(await attempts(['127.0.0.1/32'])).toEqual(new Map([[401, 70]]))
}, 60_000)
