import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { readText } from './files.ts'
import { allPids, readProcess, socketInodes } from './processes.ts'

/** A listening TCP socket of this host. `address` is `*` or `[::]` for every address, else the address itself. */
export interface ListeningSocket {
  readonly address: string
  readonly port: number
  readonly inode: string
}

const LENT_PORTS_PATH = '/proc/sys/net/ipv4/ip_local_port_range'
const TCP_LISTEN = '0A'

/** What listens, of IPv4 and IPv6, in this network namespace. Authority: proc_net_tcp(5). */
export function listeningSockets(): ListeningSocket[] {
  return [...readTable('/proc/net/tcp'), ...readTable('/proc/net/tcp6')]
}

function readTable(path: string): ListeningSocket[] {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch {
    return []
  }
  return text.split('\n').slice(1).flatMap(parseRow)
}

function parseRow(row: string): ListeningSocket[] {
  const fields = row.trim().split(/\s+/)
  const [hex, port] = (fields[1] ?? '').split(':')
  const inode = fields[9]
  if (fields[3] !== TCP_LISTEN || !hex || !port || inode === undefined) return []
  return [{ address: parseAddress(hex), port: Number.parseInt(port, 16), inode }]
}

/** The kernel prints addresses as 32-bit words in host byte order (little-endian on every platform that we build for). */
function parseAddress(hex: string): string {
  const words = hex.match(/.{8}/g) ?? []
  const bytes = words.flatMap(word => [...Buffer.from(word, 'hex')].reverse())
  if (bytes.length === 4) return bytes.every(byte => byte === 0) ? '*' : bytes.join('.')
  if (bytes.every(byte => byte === 0)) return '[::]'
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  )
  return new URL(`http://[${groups.join(':')}]`).hostname
}

/** What `ownerOf` says when nobody is found: it is gone already, or not for this user to see. */
export const UNKNOWN_OWNER = 'another process'

/** The process that holds one of these sockets, for people: `python3 (pid 123)`. */
export function ownerOf(socket: ListeningSocket): string {
  for (const pid of allPids()) {
    if (!socketInodes(pid).has(socket.inode)) continue
    const title = readProcess(pid)?.title.split(' ')[0] ?? ''
    return `${title.split('/').at(-1) || 'a process'} (pid ${pid})`
  }
  return UNKNOWN_OWNER
}

/** A TCP port of the loopback address that nobody listens on now. */
function freeLoopbackPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

// Below what kernels lend by default (32768 on Linux), and below Kubernetes' node ports.
const LASTING_PORTS = { first: 20_000, last: 29_999 }
const LASTING_TRIES = 100

/**
 * A free loopback port that can be bound again after any restart: not one of those which the kernel lends to outgoing
 * connections, since such a connection may hold it at the very moment when a server wants it back. No other process is given
 * the same one while this one lives, bound or not.
 */
export async function lastingLoopbackPort(): Promise<number> {
  const [low = 0, high = 0] = (readText(LENT_PORTS_PATH) ?? '').trim().split(/\s+/).map(Number)
  for (let i = 0; i < LASTING_TRIES; i++) {
    const port = randomInt(LASTING_PORTS.first, LASTING_PORTS.last + 1)
    if (port >= low && port <= high) continue
    const promise = await promisePort(port)
    if (promise === null) continue
    if (await canBind('127.0.0.1', port)) return port
    promise.close()
  }
  return await freeLoopbackPort()
}

/** What keeps the ports that this process was given from others. */
const promised: Server[] = []

/**
 * Keeps a port for this process; null when another one has it. A socket in Linux's abstract namespace (unix(7)) is a lock
 * that needs no file, ends with the process and holds in one network namespace, just as the port does.
 */
function promisePort(port: number): Promise<Server | null> {
  return new Promise(resolve => {
    const server = createServer(socket => socket.destroy())
    server.once('error', () => resolve(null))
    server.listen({ path: `\0nxmesh-port-${port}` }, () => {
      // Its end is the end of the process, which it must not hold up.
      server.unref()
      promised.push(server)
      resolve(server)
    })
  })
}

/** Whether an address could be bound just now; lets it go at once. */
export function canBind(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

const ANSWER_MAX_BYTES = 4_096

/** One GET by HTTP/1.0 on its own connection to the loopback address; the body of a 200, else null. */
export function getLoopback(port: number, path: string, timeout_ms: number): Promise<string | null> {
  return new Promise(resolve => {
    let answer = ''
    const socket = connect({ host: '127.0.0.1', port })
    const timer = setTimeout(() => finish(null), timeout_ms)
    const finish = (body: string | null) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(body)
    }
    socket.on('connect', () => socket.write(`GET ${path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n`))
    socket.on('data', chunk => {
      answer += chunk.toString('latin1')
      if (answer.length > ANSWER_MAX_BYTES) finish(null)
    })
    socket.on('end', () => finish(bodyOf(answer)))
    socket.on('error', () => finish(null))
  })
}

function bodyOf(answer: string): string | null {
  const end = answer.indexOf('\r\n\r\n')
  return /^HTTP\/1\.[01] 200 /.test(answer) && end > 0 ? answer.slice(end + 4) : null
}
