import { afterAll, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { loadMaker } from './certificates/load-maker.ts'
import { until } from './channel/testing.ts'
import { openTestApp } from './http/testing.ts'
import { MASTER_LIMITS } from './limits.ts'
import { type Listener, listenPlain, listenTls } from './serve.ts'

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
    await until(() => held.length === n + 1, 'the request')
    tls.replace(shown)
  }
  await until(() => sockets[0]?.closed === true && sockets[1]?.closed === true, 'the oldest to end')
  expect(sockets.slice(2).map(socket => socket.closed)).not.toContain(true)
  for (const end of held) end()
  for (const socket of sockets) socket.destroy()
  await tls.stop(0)
})
