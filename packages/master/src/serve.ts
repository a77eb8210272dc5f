import { CHANNEL_PATH, EVENTS_PATH, LIMITS } from '@nxmesh/contract'
import type { Server, WebSocketHandler } from 'bun'
import { clientAddress, type Network, within } from './addresses.ts'
import type { ServerIdentity } from './certificates/authority.ts'
import type { Address } from './config.ts'
import type { EventsDoor } from './events/events.ts'
import type { Connection } from './http/connection.ts'
import type { HttpApp } from './http/make-http-app.ts'
import { pathOnly, pathWithQuery } from './http/request-path.ts'
import { MASTER_LIMITS } from './limits.ts'
import { bothSockets } from './sockets.ts'

/** The agents' door: what the listener needs of the channel. */
export interface ChannelDoor<Data> {
  /**
   * Answers an upgrade request on CHANNEL_PATH: with a refusal, or with nothing when `server.upgrade` took the socket over.
   * `ip_address`: who sent it, null once the peer is gone.
   */
  upgrade(request: Request, server: Server<Data>, ip_address: string | null): Promise<Response | undefined>
  readonly websocket: WebSocketHandler<Data>
}

export interface Listener {
  readonly port: number
  /** Takes no new connection and waits for running requests, at most `grace_ms`; then ends what is left. */
  stop(grace_ms: number): Promise<void>
}

export interface TlsListener extends Listener {
  /**
   * Shows another certificate to whoever connects from now on. Sockets and requests that are open stay as they are; a
   * connection that is just being made may have to be made again. Throws when it cannot be served: nothing has changed then.
   */
  replace(identity: ShownIdentity): void
}

export type ShownIdentity = Pick<ServerIdentity, 'chain_pem' | 'key_pem'>

/** The address cannot be listened on: another process has it, or this machine does not. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}

function opened<Data>(address: Address, open: () => Server<Data>): Server<Data> {
  try {
    return open()
  } catch (cause) {
    const why =
      (cause as { code?: unknown }).code === 'EADDRINUSE'
        ? 'another process has it'
        : (cause as Error).message
    throw new ListenError(`The master cannot listen on ${address.host} port ${address.port}: ${why}.`, {
      cause,
    })
  }
}

/** TLS 1.3 or nothing; Bun takes OpenSSL's number (the name of a version throws), which its types do not know. */
const TLS_1_3 = { minVersion: 0x0304 } as object

/** What a listener serves beside the application. */
export interface Doors<EventsData> {
  readonly events?: EventsDoor<EventsData>
  /** Whose word on the client's address counts; nobody's, unless the operator names them. */
  readonly trusted?: TrustedProxies
}
type TrustedProxies = readonly Network[]

/**
 * HTTPS and events for people and programs, and the channel for agents. A server keeps the certificate with which it was
 * made, so a new certificate is a second server on the same port; the one before it takes no new connection and lives until its
 * last socket is closed.
 */
export function listenTls<Data, EventsData>(
  address: Address,
  identity: ShownIdentity,
  app: HttpApp,
  channel: ChannelDoor<Data>,
  { events, trusted = [] }: Doors<EventsData> = {},
): TlsListener {
  const open = (at: Address, shown: ShownIdentity) =>
    Bun.serve<Data | EventsData>({
      ...shared(at),
      reusePort: true,
      tls: { cert: shown.chain_pem, key: shown.key_pem, ...TLS_1_3 },
      websocket: events ? bothSockets(channel.websocket, events) : channel.websocket,
      fetch: async (request, server) => {
        const path = pathOnly(pathWithQuery(request.url))
        if (path === CHANNEL_PATH)
          return await channel.upgrade(request, server, addressOf(request, server, trusted))
        const connection = new ServedConnection(request, server, true, trusted)
        if (events && path === EVENTS_PATH) return await events.upgrade(request, server, connection)
        return await app.fetch(request, connection)
      },
    })
  let newest = opened(address, () => {
    probe(address)
    return open(address, identity)
  })
  const bound = { host: address.host, port: newest.port ?? 0 }
  const replaced = new Set<Server<Data | EventsData>>()

  const retire = (server: Server<Data | EventsData>) => {
    replaced.add(server)
    void server.stop(false).then(() => replaced.delete(server))
    const [oldest] = replaced
    if (oldest && replaced.size > MASTER_LIMITS.listeners_replaced) void oldest.stop(true)
  }

  return {
    port: bound.port,
    replace(next) {
      const server = open(bound, next)
      retire(newest)
      newest = server
    },
    stop: grace_ms => stopAll([...replaced, newest], grace_ms),
  }
}

/**
 * Throws when the address is taken. Servers that share their port with each other would share it with another master of the
 * same user as well, and get every second of its agents.
 */
function probe({ host, port }: Address): void {
  if (port === 0) return
  Bun.listen({ hostname: host, port, socket: { data: () => undefined } }).stop(true)
}

/** HTTP without TLS, on loopback: for a proxy or a person on the same machine. Agents are not served here. */
export function listenPlain<EventsData>(
  address: Address,
  app: HttpApp,
  { events, trusted = [] }: Doors<EventsData> = {},
): Listener {
  const open = () =>
    Bun.serve<EventsData>({
      ...shared(address),
      websocket: events?.websocket ?? NO_SOCKETS,
      fetch: async (request, server) => {
        const connection = new ServedConnection(request, server, false, trusted)
        if (events && pathOnly(pathWithQuery(request.url)) === EVENTS_PATH)
          return await events.upgrade(request, server, connection)
        return await app.fetch(request, connection)
      },
    })
  const server = opened(address, open)
  return { port: server.port ?? 0, stop: grace_ms => stopAll([server], grace_ms) }
}

function addressOf<Data>(request: Request, server: Server<Data>, trusted: TrustedProxies): string | null {
  const peer = server.requestIP(request)?.address ?? null
  return clientAddress(peer, trusted, () => request.headers.get('x-forwarded-for'))
}

/** Whether a trusted proxy says that it was asked over TLS: then cookies must not go without. */
function cameOverTls<Data>(request: Request, server: Server<Data>, trusted: TrustedProxies): boolean {
  if (trusted.length === 0 || request.headers.get('x-forwarded-proto') !== 'https') return false
  return within(trusted, server.requestIP(request)?.address ?? null)
}

/** For a listener that upgrades nothing. */
const NO_SOCKETS = { message: () => undefined }

/** A class, because one is made for every request and an object with a getter of its own costs more than a small answer. */
class ServedConnection<Data> implements Connection {
  readonly #tls: boolean
  readonly #request: Request
  readonly #server: Server<Data>
  readonly #trusted: TrustedProxies

  constructor(request: Request, server: Server<Data>, tls: boolean, trusted: TrustedProxies) {
    this.#tls = tls
    this.#request = request
    this.#server = server
    this.#trusted = trusted
  }

  get tls(): boolean {
    return this.#tls || cameOverTls(this.#request, this.#server, this.#trusted)
  }

  get ip_address(): string | null {
    return addressOf(this.#request, this.#server, this.#trusted)
  }

  hold(): void {
    this.#server.timeout(this.#request, 0)
  }
}

const shared = (address: Address) => ({
  hostname: address.host,
  port: address.port,
  idleTimeout: MASTER_LIMITS.idle_timeout_s,
  // The application refuses a body over the limit with an answer; this bound is for what does not even begin to be one.
  maxRequestBodySize: 2 * LIMITS.body_bytes,
})

const POLL_MS = 5

async function stopAll<Data>(servers: readonly Server<Data>[], grace_ms: number): Promise<void> {
  // Not awaited: it stays pending as long as a socket is open.
  for (const server of servers) void server.stop(false)
  const deadline = Date.now() + grace_ms
  while (servers.some(server => server.pendingRequests > 0) && Date.now() < deadline) {
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
  await Promise.all(servers.map(server => server.stop(true)))
}
