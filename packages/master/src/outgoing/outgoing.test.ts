import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  createServer as createPlain,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTls } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Server as TcpServer } from 'node:net'
import { networksOf } from '../addresses.ts'
import { loadMaker } from '../certificates/load-maker.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { makeOutgoing, type OutgoingDeps } from './make-outgoing.ts'
import { OutgoingError, type OutgoingInit } from './outgoing.ts'

/** Two machines on loopback: the one that is meant, and one that must never hear of anything. */
const GOOD = '127.0.0.1'
const INNER = '127.0.0.2'
const SECRET = 'what only the inside may read'

const heard: { at: string; url: string; host: string; headers: string[]; body: string }[] = []
let ca: string
let plain_port: number
let tls_port: number
const servers: (Server | TcpServer)[] = []

const listen = async (server: Server | TcpServer, host: string, port = 0) => {
  servers.push(server)
  await new Promise<void>(resolve => server.listen(port, host, resolve))
  return (server.address() as AddressInfo).port
}

function answer(request: IncomingMessage, response: ServerResponse, at: string): void {
  let body = ''
  request.on('data', part => {
    body += part
  })
  request.on('end', () => {
    heard.push({
      at,
      url: request.url ?? '',
      host: request.headers.host ?? '',
      headers: request.rawHeaders,
      body,
    })
    const url = new URL(request.url ?? '', 'http://x')
    const to = url.searchParams.get('to')
    if (to) response.writeHead(Number(url.searchParams.get('status') ?? 302), { location: to }).end(SECRET)
    else if (url.pathname === '/large') response.end('x'.repeat(MASTER_LIMITS.outgoing_answer_bytes + 1))
    else if (url.pathname === '/endless') endless(response)
    else if (url.pathname === '/slow') response.write('{')
    else if (url.pathname === '/gzip') response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')
    else if (url.pathname === '/cut')
      response.writeHead(200, { 'content-length': '9' }).write('x', () => request.socket.destroy())
    else if (url.pathname === '/none') response.writeHead(204).end()
    else response.writeHead(200, { 'set-cookie': 'a=b', 'x-two': 'yes' }).end(JSON.stringify({ at, body }))
  })
}

function endless(response: ServerResponse): void {
  const more = () => {
    while (!response.destroyed && response.write('x'.repeat(65_536)));
  }
  response.on('drain', more)
  more()
}

beforeAll(async () => {
  const { makeCa, makeServerCertificate } = await loadMaker()
  const authority = await makeCa(new Date())
  ca = authority.certificate_pem
  const names = ['good.example', 'other.example', GOOD]
  const made = await makeServerCertificate(authority, names, new Date())
  const tls = { cert: made.certificate_pem, key: made.key_pem }
  plain_port = await listen(
    createPlain((a, b) => answer(a, b, 'good')),
    GOOD,
  )
  tls_port = await listen(
    createTls(tls, (a, b) => answer(a, b, 'good tls')),
    GOOD,
  )
  // On the same ports: only the address tells them apart.
  await listen(
    createPlain((a, b) => answer(a, b, 'inner')),
    INNER,
    plain_port,
  )
  await listen(
    createTls(tls, (a, b) => answer(a, b, 'inner tls')),
    INNER,
    tls_port,
  )
})
afterAll(() => {
  for (const server of servers) {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  }
})

const client = (more: Partial<OutgoingDeps> = {}) =>
  makeOutgoing({ allow: networksOf([`${GOOD}/32`]), ca, lookup: async () => [GOOD], ...more })
const plain = (path = '/', host = 'good.example') => `http://${host}:${plain_port}${path}`
const tls = (path = '/', host = 'good.example') => `https://${host}:${tls_port}${path}`

/** The error of a request that must fail; nothing of an answer may stand in it, and the inside heard nothing. */
async function refusal(url: string, options: Partial<OutgoingDeps> & { init?: OutgoingInit } = {}) {
  const { init, ...deps } = options
  const error = await client(deps)
    .fetch(url, init)
    .catch((thrown: unknown) => thrown)
  if (!(error instanceof OutgoingError)) throw new Error(`not refused: ${url}`, { cause: error })
  expect(Bun.inspect(error)).not.toContain(SECRET)
  expect(heard.filter(one => one.at.startsWith('inner'))).toEqual([])
  return { reason: error.reason, message: error.message }
}

describe('a request goes out', () => {
  test('over TLS to the judged address, for the host’s name', async () => {
    const response = await client().fetch(tls('/path?q=1'), { headers: { authorization: 'Bearer x' } })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ at: 'good tls' })
    const [last] = heard.slice(-1)
    expect(last).toMatchObject({ url: '/path?q=1', host: `good.example:${tls_port}` })
    expect(last?.headers).toContain('Bearer x')
    expect(response.headers.get('x-two')).toBe('yes')
    expect(response.headers.get('set-cookie')).toBeNull()
  })

  test('with form fields, as libraries for OpenID Connect send them through a fetch of one’s own', async () => {
    const { fetch } = client()
    const response = await fetch(tls('/token'), {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded;charset=UTF-8',
      },
      body: new URLSearchParams({ grant_type: 'authorization_code', code: 'é' }),
      redirect: 'manual',
      signal: AbortSignal.timeout(10_000),
    })
    expect(await response.json()).toMatchObject({ body: 'grant_type=authorization_code&code=%C3%A9' })
  })

  test('to an address that is written in the URL', async () => {
    expect((await client().fetch(tls('/', GOOD))).status).toBe(200)
    expect((await client().fetch(plain('/', '[::ffff:127.0.0.1]'))).status).toBe(200)
    expect((await client().fetch(plain('/none'))).status).toBe(204)
  })

  test('to the next address of a host whose first one does not answer', async () => {
    const lookup = async () => ['127.0.0.9', GOOD]
    const allow = networksOf(['127.0.0.9', GOOD])
    expect(await (await client({ lookup, allow }).fetch(plain())).json()).toMatchObject({ at: 'good' })
  })

  test('past the proxies that the environment names', async () => {
    const script = `import { networksOf } from ${JSON.stringify(`${import.meta.dir}/../addresses.ts`)}
      import { makeOutgoing } from ${JSON.stringify(`${import.meta.dir}/make-outgoing.ts`)}
      const { fetch } = makeOutgoing({ allow: networksOf(['${GOOD}']), lookup: async () => ['${GOOD}'] })
      console.log(await (await fetch('${plain()}')).text())`
    const nowhere = 'http://127.0.0.9:1'
    const proxies = { HTTP_PROXY: nowhere, http_proxy: nowhere, ALL_PROXY: nowhere, NODE_USE_ENV_PROXY: '1' }
    const run = Bun.spawn([process.execPath, '-e', script], { env: { ...process.env, ...proxies } })
    expect(await new Response(run.stdout).text()).toContain('"at":"good"')
  })
})

describe('a place inside is not reached', () => {
  test.each([
    ['by name', () => plain('/', 'localhost')],
    ['by name with a dot at its end', () => plain('/', 'localhost.')],
    ['in decimal', () => plain('/', '2130706434')],
    ['in octal', () => plain('/', '0177.0.0.2')],
    ['in hex', () => plain('/', '0x7f000002')],
    ['shortened', () => plain('/', '127.2')],
    ['in full-width digits', () => plain('/', '１２７.0.0.2')],
    ['mapped', () => plain('/', '[::ffff:127.0.0.2]')],
    ['mapped, over TLS', () => tls('/', '[::ffff:7f00:2]')],
    ['as the unspecified address', () => plain('/', '0')],
  ])('%s', async (_how, url) => {
    const found = await refusal(url(), { lookup: async () => [INNER] })
    expect(found.reason).toBe('refused')
    expect(found.message).toContain('outgoing.allow')
  })

  test('and the error says which address it was and how to allow it', async () => {
    const { message } = await refusal(tls('/secret-path?token=1', 'idp.example'), {
      lookup: async () => ['10.1.2.3'],
    })
    expect(message).toBe(
      `https://idp.example:${tls_port} is refused: idp.example is 10.1.2.3, a private address. ` +
        'If it is meant, add 10.1.2.3/32 to the setting outgoing.allow of the master.',
    )
  })

  test('when only one of several addresses is inside', async () => {
    expect(await refusal(plain(), { lookup: async () => [GOOD, INNER] })).toMatchObject({ reason: 'refused' })
  })

  test('when the name’s answer changes after it was judged: the judged address is what is connected to', async () => {
    let asked = 0
    const rebinding = client({ lookup: async () => [asked++ === 0 ? GOOD : INNER] })
    expect(await (await rebinding.fetch(tls())).json()).toMatchObject({ at: 'good tls' })
    expect(asked).toBe(1)
    const second = await rebinding.fetch(tls()).catch((error: OutgoingError) => error.reason)
    expect(second).toBe('refused')
    expect(heard.filter(one => one.at.startsWith('inner'))).toEqual([])
  })

  test('by the resolver of the machine', async () => {
    const { fetch } = makeOutgoing({ allow: [] })
    expect(await fetch(plain('/', 'localhost')).catch((error: OutgoingError) => error.reason)).toBe('refused')
  })
})

describe('redirects', () => {
  const via = (to: string, status = 302) => plain(`/?status=${status}&to=${encodeURIComponent(to)}`)

  test('are followed, each judged anew', async () => {
    const names: string[] = []
    const lookup = async (name: string) => {
      names.push(name)
      return [GOOD]
    }
    const response = await client({ lookup }).fetch(via(tls('/there', 'other.example')))
    expect(await response.json()).toMatchObject({ at: 'good tls' })
    expect(names).toEqual(['good.example', 'other.example'])
  })

  test('to a place inside are refused, by address, by name and by rebinding', async () => {
    expect(await refusal(via(plain('/', INNER)))).toMatchObject({ reason: 'refused' })
    expect(await refusal(via('http://169.254.169.254/latest/'))).toMatchObject({ reason: 'refused' })
    const lookup = async (name: string) => [name === 'good.example' ? GOOD : INNER]
    expect(await refusal(via(plain('/', 'other.example')), { lookup })).toMatchObject({ reason: 'refused' })
    let asked = 0
    const rebinding = async () => [asked++ === 0 ? GOOD : INNER]
    expect(await refusal(via('/again'), { lookup: rebinding })).toMatchObject({ reason: 'refused' })
  })

  test('from https to http, to other schemes, with passwords and too many are refused', async () => {
    const down = tls(`/?to=${encodeURIComponent(plain())}`)
    expect(await refusal(down)).toMatchObject({ reason: 'redirect' })
    for (const to of [
      'file:///etc/passwd',
      'ftp://good.example/',
      'http://a:b@good.example/',
      'http://good.example:0/',
    ])
      expect(await refusal(via(to))).toMatchObject({ reason: 'invalid' })
    const before = heard.length
    let url = plain('/end')
    for (let n = 0; n < MASTER_LIMITS.outgoing_redirects; n++) url = via(url)
    expect((await client().fetch(url)).status).toBe(200)
    expect(heard.length - before).toBe(MASTER_LIMITS.outgoing_redirects + 1)
    expect(await refusal(via(url))).toMatchObject({ reason: 'redirect' })
  })

  test('to another origin lose the credentials, and a POST becomes a GET where the web says so', async () => {
    const init = { method: 'POST', body: 'secret', headers: { authorization: 'Bearer x' } }
    await client().fetch(via(tls('/after')), init)
    expect(heard.at(-1)).toMatchObject({ url: '/after', body: '' })
    expect(heard.at(-1)?.headers).not.toContain('Bearer x')
    await client().fetch(via('/kept', 307), init)
    expect(heard.at(-1)).toMatchObject({ url: '/kept', body: 'secret' })
    expect(heard.at(-1)?.headers).toContain('Bearer x')
  })

  test('are handed back or refused when the caller wants that', async () => {
    const response = await client().fetch(via(plain('/', INNER)), { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([302, plain('/', INNER)])
    expect(await refusal(via(plain()), { init: { redirect: 'error' } })).toMatchObject({ reason: 'redirect' })
  })
})

describe('what comes back is bounded', () => {
  test('in size, declared or not', async () => {
    expect(await refusal(plain('/large'))).toMatchObject({ reason: 'too_large' })
    expect(await refusal(plain('/endless'))).toMatchObject({ reason: 'too_large' })
  })

  test('in time: a connection that is not made, an answer that does not end', async () => {
    const deaf = await listen(createTcp(), GOOD)
    const times = { connect_ms: 200, whole_ms: 400 }
    expect(await refusal(`https://good.example:${deaf}/`, { times })).toMatchObject({ reason: 'timeout' })
    expect(await refusal(`http://good.example:${deaf}/`, { times })).toMatchObject({ reason: 'timeout' })
    expect(await refusal(plain('/slow'), { times })).toMatchObject({ reason: 'timeout' })
    const lookup = () => new Promise<never>(() => undefined)
    expect(await refusal(plain(), { times, lookup })).toMatchObject({ reason: 'timeout' })
  })

  test('in number', async () => {
    const { fetch } = client({ times: { whole_ms: 500 } })
    const running = Array.from({ length: MASTER_LIMITS.outgoing_at_once }, () => fetch(plain('/slow')))
    expect(await fetch(plain()).catch((error: OutgoingError) => error.reason)).toBe('busy')
    await Promise.allSettled(running)
    expect((await fetch(plain())).status).toBe(200)
  })

  test('and whole: compressed, cut, or no HTTP is no answer', async () => {
    expect(await refusal(plain('/gzip'))).toMatchObject({ reason: 'unreachable' })
    expect(await refusal(plain('/cut'))).toMatchObject({ reason: 'unreachable' })
    const ssh = await listen(
      createTcp(socket => socket.end(`${SECRET}\r\n\r\n`)),
      GOOD,
    )
    expect(await refusal(`http://good.example:${ssh}/`)).toMatchObject({ reason: 'unreachable' })
    expect(await refusal('http://good.example:1/')).toMatchObject({ reason: 'unreachable' })
    expect(await refusal(plain(), { lookup: async () => [] })).toMatchObject({ reason: 'unreachable' })
  })

  test('and what the resolver said is told', async () => {
    const lookup = () => Promise.reject(Object.assign(new Error('lookup failed'), { code: 'EAI_AGAIN' }))
    const { reason, message } = await refusal(plain(), { lookup })
    expect(reason).toBe('unreachable')
    expect(message).toContain('its name cannot be resolved (EAI_AGAIN)')
  })

  test('the caller’s own signal ends it', async () => {
    const stop = new AbortController()
    const asked = client().fetch(plain('/slow'), { signal: stop.signal })
    stop.abort(new Error('no longer wanted'))
    expect(await asked.catch(String)).toContain('no longer wanted')
  })
})

describe('a certificate', () => {
  test('for another name, or of an unknown authority, is not trusted, whatever the environment says', async () => {
    expect(await refusal(tls('/', 'wrong.example'))).toMatchObject({ reason: 'untrusted' })
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    const unknown = makeOutgoing({ allow: networksOf([GOOD]), lookup: async () => [GOOD] })
    const reason = await unknown.fetch(tls()).catch((error: OutgoingError) => error.reason)
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    expect(reason).toBe('untrusted')
  })
})

describe('a request that is not sent', () => {
  test.each([
    ['no URL', 'nonsense', {}],
    ['another scheme', 'file:///etc/passwd', {}],
    ['gopher', 'gopher://good.example/', {}],
    ['a password in the URL', 'https://user:secret@good.example/', {}],
    ['port 0', 'http://good.example:0/', {}],
    ['a cookie', 'http://good.example/', { headers: { cookie: 'a=b' } }],
    ['another Host', 'http://good.example/', { headers: { host: 'inner' } }],
    ['a header with a line break', 'http://good.example/', { headers: { a: 'b\r\nc: d' } }],
    ['another method', 'http://good.example/', { method: 'CONNECT' }],
    ['a body with GET', 'http://good.example/', { body: 'x' }],
    ['a stream', 'http://good.example/', { method: 'POST', body: new ReadableStream() }],
  ])('%s', async (_what, url, init) => {
    const found = await refusal(url, { init })
    expect(found.reason).toBe('invalid')
    expect(found.message).not.toContain('secret')
  })
})
