import { afterAll, beforeAll, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { type Listener, listenPlain } from '../serve.ts'
import { until } from '../testing-until.ts'
import { api, closeTestApps, openTestApp, type TestApp } from './testing.ts'

/** Bodies that trickle over a real connection. */

const body_ms = { known: 400, stranger: 200 }
let app: TestApp
let token: string
let listener: Listener
beforeAll(async () => {
  app = await openTestApp({ body_ms })
  token = (await app.owner()).token
  listener = listenPlain({ host: '127.0.0.1', port: 0 }, { fetch: request => app.raw(request) })
})
afterAll(async () => {
  await listener.stop(0)
  await closeTestApps()
})

const TRICKLE_MS = 20

/** Sends a head, then one byte after the other without end; what was answered, and after how long. */
function trickle(path: string, headers: string[], piece: string) {
  const began_ms = performance.now()
  const socket = connect(listener.port, '127.0.0.1')
  let text = ''
  socket.on('data', part => {
    text += part
    // Only what took too long must be cut from the other side.
    if (text.includes('\r\n\r\n') && !text.startsWith('HTTP/1.1 408')) socket.destroy()
  })
  socket.on('error', () => undefined)
  socket.write(`POST ${api(path)} HTTP/1.1\r\n${['Host: a', ...headers].join('\r\n')}\r\n\r\n`)
  const more = setInterval(() => socket.write(piece), TRICKLE_MS)
  return new Promise<{ text: string; took_ms: number }>(resolve => {
    socket.on('close', () => {
      clearInterval(more)
      resolve({ text, took_ms: performance.now() - began_ms })
    })
  })
}

const DECLARED = ['Content-Type: application/json', 'Content-Length: 10000']
const CHUNKED = ['Content-Type: application/json', 'Transfer-Encoding: chunked']

test.each([
  ['declared', DECLARED, ' '],
  ['of unknown length', CHUNKED, '1\r\n \r\n'],
])(
  'a body that trickles, %s, is answered and cut after its time, a stranger’s sooner',
  async (_how, headers, piece) => {
    const known = await trickle('/organizations', [...headers, `Authorization: Bearer ${token}`], piece)
    expect(known.text).toStartWith('HTTP/1.1 408')
    expect(known.text).toContain('"code":"REQUEST_TIMEOUT"')
    expect(known.text.toLowerCase()).toContain('connection: close')
    expect(known.took_ms).toBeGreaterThanOrEqual(body_ms.known)
    const stranger = await trickle('/auth/login', headers, piece)
    expect(stranger.text).toStartWith('HTTP/1.1 408')
    expect(stranger.text).toContain(`within ${body_ms.stranger / 1_000} s`)
  },
)

test('whose room is given back', async () => {
  // Each takes the room of the longest body that may come; together more than there is for one sender.
  const one = () => trickle('/organizations', [...CHUNKED, `Authorization: Bearer ${token}`], '1\r\n \r\n')
  const many = await Promise.all(Array.from({ length: 20 }, one))
  const statuses = many.map(({ text }) => text.slice(9, 12))
  expect(statuses.filter(status => status === '408').length).toBe(16)
  expect(statuses.filter(status => status === '429').length).toBe(4)
  const again = await Promise.all(Array.from({ length: 4 }, one))
  expect(again.map(({ text }) => text.slice(9, 12))).toEqual(['408', '408', '408', '408'])
}, 90_000)

test('a body of 1 GB is refused by its declared length', async () => {
  const huge = ['Content-Type: application/json', 'Content-Length: 1073741824']
  const { text } = await trickle('/organizations', [...huge, `Authorization: Bearer ${token}`], ' ')
  expect(text).toStartWith('HTTP/1.1 413')
})

test('a body that is a little too large is refused with an answer', async () => {
  const large = ['Content-Type: application/json', 'Content-Length: 1100000']
  const { text } = await trickle('/organizations', [...large, `Authorization: Bearer ${token}`], ' ')
  expect(text).toStartWith('HTTP/1.1 413')
  expect(text).toContain('PAYLOAD_TOO_LARGE')
})

test.each(['gzip', 'deflate', 'br', 'zstd', 'identity, gzip'])(
  'a body that would unpack to something large (%s) is refused as it is',
  async encoding => {
    const answer = await app.fetch(api('/organizations'), {
      method: 'POST',
      body: Bun.gzipSync(Buffer.alloc(10_000_000)),
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-encoding': encoding,
      },
    })
    expect(answer.status).toBe(415)
  },
)

test('a head that trickles is ended by the listener', async () => {
  const socket = connect(listener.port, '127.0.0.1')
  let closed = false
  socket.on('close', () => {
    closed = true
  })
  socket.on('error', () => undefined)
  socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ')
  const more = setInterval(() => socket.write('x'), 100)
  await until('the listener to end it', () => closed, { deadline_ms: 30_000 })
  clearInterval(more)
}, 40_000)
