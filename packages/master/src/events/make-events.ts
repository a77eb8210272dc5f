import { ApiError, LIMITS } from '@nxmesh/contract'
import type { Server, WebSocketHandler } from 'bun'
import type { Logger } from 'pino'
import type { Authenticator } from '../access/authenticator.ts'
import type { Access } from '../access/caller.ts'
import type { Standing, Standings } from '../access/standing.ts'
import { errorAnswer, toResponse } from '../http/answer.ts'
import type { Connection } from '../http/connection.ts'
import { refreshTokenOf } from '../http/cookies.ts'
import { refuseForeignOrigin } from '../http/preconditions.ts'
import { everyClass, makeRateLimiter } from '../http/rate-limiter.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { makeConversation } from './conversation.ts'
import { EventSocket } from './event-socket.ts'
import type { ChangeReaders, EventsDoor } from './events.ts'
import { EVENTS_LIMITS } from './events-limits.ts'
import { makeHub } from './hub.ts'
import type { Publisher } from './publish.ts'
import { makeReaders } from './readers.ts'

export interface EventsDeps {
  readonly publisher: Publisher
  readonly read: ChangeReaders
  readonly access: Access
  readonly authenticator: Pick<Authenticator, 'onForget'>
  readonly standings: Standings
  readonly log: Logger
  readonly now: () => Date
  readonly newId: () => string
}

export interface EventsServer extends EventsDoor<EventSocket> {
  /** Sends everybody away; nothing is told any more. */
  stop(): void
}

const BEARER = /^Bearer +([A-Za-z0-9._-]{16,2048})$/i

/** The events socket: who logs in how, and what each of the listeners' WebSockets does. */
export function makeEvents(deps: EventsDeps): EventsServer {
  const now_ms = () => performance.now()
  const readers = makeReaders()
  const hub = makeHub({ ...deps, readers, now_ms })
  const conversation = makeConversation({ ...deps, readers, hub, now_ms })
  const limiter = makeRateLimiter(deps.now, RATES)
  const sweeping = setInterval(hub.sweep, EVENTS_LIMITS.sweep_ms)
  let in_flight = 0
  let stopped = false

  deps.authenticator.onForget(hub.forget)
  deps.publisher.connect({
    ...deps,
    wanted: topic => readers.of(topic).size > 0,
    deliver: hub.deliver,
    flood(topic) {
      for (const socket of readers.of(topic)) hub.end(socket, 'try_later')
    },
  })

  /** By the header, or by the cookie of the master's own pages; null: by a first message. Throws UNAUTHENTICATED. */
  const login = async (
    headers: Headers,
    connection: Connection,
    request_id: string,
  ): Promise<Standing | null> => {
    const origin = { ip_address: connection.ip_address, request_id }
    const authorization = headers.get('authorization')
    if (authorization !== null) {
      const token = BEARER.exec(authorization)?.[1]
      const found = token === undefined ? null : await deps.standings.ofToken(token, origin)
      if (found) return found
      limiter.admitAddress(connection.ip_address, 'read')
      throw new ApiError('UNAUTHENTICATED', 'Send a valid API key or access token: Authorization: Bearer …')
    }
    const refresh_token = comesFromOwnPage(headers, connection.tls) ? refreshTokenOf(headers) : null
    return refresh_token === null ? null : await deps.standings.ofRefreshToken(refresh_token, origin)
  }

  const admit = async (
    request: Request,
    server: Server<EventSocket>,
    connection: Connection,
    request_id: string,
  ): Promise<void> => {
    refuseForeignOrigin(request.headers)
    requireUpgrade(request)
    if (readers.all.size >= LIMITS.events_sockets) throw busy()
    const forgets = hub.forgets()
    const standing = await login(request.headers, connection, request_id)
    const { ip_address } = connection
    if (standing) limiter.admitPrincipal(standing.caller.principal, 'read')
    else {
      limiter.admitAddress(ip_address, 'read')
      if (!readers.mayEnter(ip_address)) throw busy()
    }
    if (stopped) throw busy()
    const data = new EventSocket({ ip_address, request_id }, standing, forgets, now_ms())
    if (!server.upgrade(request, { data })) throw notASocket()
  }

  return {
    owns: (data): data is EventSocket => data instanceof EventSocket,
    async upgrade(request, server, connection) {
      const request_id = deps.newId()
      in_flight += 1
      try {
        if (stopped || in_flight > EVENTS_LIMITS.upgrades_in_flight) throw busy()
        await admit(request, server, connection, request_id)
        return undefined
      } catch (error) {
        const { headers, ...answer } = errorAnswer(error, request_id, deps.log)
        // RFC 9110 section 15.5.6: a 405 names the methods.
        const allow = answer.status === 405 ? { allow: 'GET' } : {}
        return toResponse({ ...answer, headers: { ...headers, ...allow } }, request_id, connection.tls)
      } finally {
        in_flight -= 1
      }
    },
    websocket: handlersOf(conversation, readers, now_ms),
    stop() {
      stopped = true
      clearInterval(sweeping)
      deps.publisher.stop()
      hub.endAll('try_later')
    },
  }
}

const RATES = {
  address: everyClass({
    burst: EVENTS_LIMITS.address_burst_upgrades,
    per_s: EVENTS_LIMITS.address_upgrades_per_s,
  }),
  principal: everyClass({
    burst: EVENTS_LIMITS.principal_burst_upgrades,
    per_s: EVENTS_LIMITS.principal_upgrades_per_s,
  }),
}

function handlersOf(
  conversation: ReturnType<typeof makeConversation>,
  readers: ReturnType<typeof makeReaders>,
  now_ms: () => number,
): WebSocketHandler<EventSocket> {
  return {
    // Of the plain listener, which has no other sockets; on the other one the channel's hold, and the size is looked at.
    maxPayloadLength: LIMITS.events_frame_bytes,
    backpressureLimit: EVENTS_LIMITS.socket_buffer_bytes + 2 * LIMITS.events_event_bytes,
    closeOnBackpressureLimit: true,
    perMessageDeflate: false,
    sendPings: false,
    idleTimeout: MASTER_LIMITS.channel_idle_timeout_s,
    open(ws) {
      ws.data.opened(ws)
      conversation.begin(ws.data)
    },
    message(ws, frame) {
      conversation.hear(ws.data, frame)
    },
    pong(ws) {
      if (ws.data.standing) ws.data.heard_ms = now_ms()
    },
    drain(ws) {
      ws.data.drained(now_ms())
    },
    close(ws) {
      ws.data.closing_ms ??= now_ms()
      readers.leave(ws.data)
    },
  }
}

/**
 * A cookie is sent by itself, whoever made the page open a socket: it counts only where the browser says that it was one of
 * ours, which `refuseForeignOrigin` has held against the host. A page without TLS is none of a master with it.
 */
function comesFromOwnPage(headers: Headers, tls: boolean): boolean {
  const origin = headers.get('origin')
  return origin !== null && (!tls || origin.startsWith('https:'))
}

function requireUpgrade({ method, headers }: Request): void {
  if (method !== 'GET')
    throw new ApiError('METHOD_NOT_ALLOWED', `This path takes GET, not ${method.slice(0, 20)}`)
  if (headers.get('upgrade')?.toLowerCase() !== 'websocket') throw notASocket()
}

const notASocket = () =>
  new ApiError('MALFORMED_REQUEST', 'This path is a WebSocket: ask for an upgrade (RFC 6455)')
const busy = () =>
  new ApiError('UNAVAILABLE', 'There are too many sockets now, or the master stops', { retry_after_s: 5 })
