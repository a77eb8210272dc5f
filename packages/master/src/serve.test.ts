import { afterAll, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { openTestApp } from './http/testing.ts'
import { type Listener, listenPlain } from './serve.ts'

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
