import { request } from 'node:http'

export interface Answer {
  status: number
  body: string
  headers: Record<string, string | string[] | undefined>
}

export interface Question {
  port: number
  path?: string
  /** The `Host` header; the connection always goes to loopback. */
  host?: string
  method?: string
  timeout_ms?: number
}

/** One HTTP request over a connection of its own, as a client that knows nothing of the reload. */
export function ask({
  port,
  path = '/',
  host = 'localhost',
  method = 'GET',
  timeout_ms = 5_000,
}: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host, connection: 'close' }
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, incoming => {
      const chunks: Buffer[] = []
      incoming.on('data', chunk => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          headers: incoming.headers,
        }),
      )
    })
    outgoing.setTimeout(timeout_ms, () => outgoing.destroy(new Error(`no answer within ${timeout_ms} ms`)))
    outgoing.on('error', reject)
    outgoing.end()
  })
}
