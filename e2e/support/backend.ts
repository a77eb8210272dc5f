import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Backend {
  readonly port: number
  readonly address: string
  /** How many requests it has answered. */
  served(): number
  stop(): Promise<void>
}

/** A small HTTP server to stand behind nginx; answers its name, the method, the path and the Host that reached it. */
export async function startBackend(name: string): Promise<Backend> {
  let served = 0
  const server: Server = createServer((incoming, outgoing) => {
    served++
    outgoing.setHeader('content-type', 'text/plain')
    outgoing.setHeader('x-backend', name)
    outgoing.end(`${name} ${incoming.method} ${incoming.url} ${incoming.headers.host ?? ''}\n`)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    address: `127.0.0.1:${port}`,
    served: () => served,
    stop: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
