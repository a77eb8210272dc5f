import { CHANNEL_PATH, EVENTS_PATH, LIMITS } from '@nxmesh/contract'
import type { Server, WebSocketHandler } from 'bun'
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
  /** Answers an upgrade request on CHANNEL_PATH: with a refusal, or with nothing when `server.upgrade` took the socket over. */
  upgrade(request: Request, server: Server<Data>): Promise<Response | undefined>
  readonly websocket: WebSocketHandler<Data>
}

export interface Listener {
  readonly port: number
  /** Takes no new connection and waits for running requests, at most `grace_ms`; then ends what is left. */
  stop(grace_ms: number): Promise<void>
}

/** The address cannot be listened on: another process has it, or this machine does not. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}

function opened<Data>(address: Address, open: () => Server<Data>): Listener {
  try {
    return listener(open())
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

/** HTTPS and events for people and programs, and the channel for agents. */
export function listenTls<Data, EventsData>(
  address: Address,
  identity: Pick<ServerIdentity, 'chain_pem' | 'key_pem'>,
  app: HttpApp,
  channel: ChannelDoor<Data>,
  events?: EventsDoor<EventsData>,
): Listener {
  const open = () =>
    Bun.serve<Data | EventsData>({
      ...shared(address),
      tls: { cert: identity.chain_pem, key: identity.key_pem, ...TLS_1_3 },
      websocket: events ? bothSockets(channel.websocket, events) : channel.websocket,
      fetch: async (request, server) => {
        const path = pathOnly(pathWithQuery(request.url))
        if (path === CHANNEL_PATH) return await channel.upgrade(request, server)
        const connection = new ServedConnection(request, server, true)
        if (events && path === EVENTS_PATH) return await events.upgrade(request, server, connection)
        return await app.fetch(request, connection)
      },
    })
  return opened(address, open)
}

/** HTTP without TLS, on loopback: for a proxy or a person on the same machine. Agents are not served here. */
export function listenPlain<EventsData>(
  address: Address,
  app: HttpApp,
  events?: EventsDoor<EventsData>,
): Listener {
  const open = () =>
    Bun.serve<EventsData>({
      ...shared(address),
      websocket: events?.websocket ?? NO_SOCKETS,
      fetch: async (request, server) => {
        const connection = new ServedConnection(request, server, false)
        if (events && pathOnly(pathWithQuery(request.url)) === EVENTS_PATH)
          return await events.upgrade(request, server, connection)
        return await app.fetch(request, connection)
      },
    })
  return opened(address, open)
}

/** For a listener that upgrades nothing. */
const NO_SOCKETS = { message: () => undefined }

/** A class, because one is made for every request and an object with a getter of its own costs more than a small answer. */
class ServedConnection<Data> implements Connection {
  readonly tls: boolean
  readonly #request: Request
  readonly #server: Server<Data>

  constructor(request: Request, server: Server<Data>, tls: boolean) {
    this.tls = tls
    this.#request = request
    this.#server = server
  }

  get ip_address(): string | null {
    return this.#server.requestIP(this.#request)?.address ?? null
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

function listener<Data>(server: Server<Data>): Listener {
  return {
    port: server.port ?? 0,
    async stop(grace_ms) {
      // Not awaited: it stays pending as long as a socket is open.
      void server.stop(false)
      const deadline = Date.now() + grace_ms
      while (server.pendingRequests > 0 && Date.now() < deadline) {
        await new Promise(resolve => setTimeout(resolve, POLL_MS))
      }
      await server.stop(true)
    },
  }
}
