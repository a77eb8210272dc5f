import { randomBytes } from 'node:crypto'
import { ERRORS, type ErrorBody, LIMITS } from '@nxmesh/contract'
import { CLOSE_CODES, REFUSAL_HEADERS } from '@nxmesh/contract/channel/signing'
import type { Server, WebSocketHandler } from 'bun'
import type { Logger } from 'pino'
import type { AuditLog } from '../audit/audit.ts'
import { pathWithQuery } from '../http/request-path.ts'
import { securityHeaders } from '../http/security-headers.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { type Admission, makeAdmission } from './admission.ts'
import type { AgentKeys, AgentOrigins } from './agent-keys.ts'
import { AgentSocket, type ConnectionData } from './agent-socket.ts'
import { authenticate } from './authenticate.ts'
import type { Channel, ChannelListener } from './channel.ts'
import { CHANNEL_LIMITS } from './channel-limits.ts'
import { type Claim, type RefusalReason, readClaim } from './claim.ts'
import { makeInstances } from './instances.ts'
import { makeNonces } from './nonces.ts'
import { makeRefusals } from './refusals.ts'
import { makeRegistry } from './registry.ts'

export interface ChannelDeps {
  readonly keys: AgentKeys
  readonly origins: AgentOrigins
  readonly audit: AuditLog
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly now: () => Date
  readonly newId: () => string
  /** Smaller ones for tests. */
  readonly times?: Partial<Record<'heartbeat_ms' | 'silence_ms' | 'handshake_ms' | 'sweep_ms', number>>
  readonly admission?: Admission
}

export interface ChannelServer {
  readonly channel: Channel
  /** Before the listener of the socket opens. Called one after the other, in the order in which they were added. */
  listen(listener: ChannelListener): void
  /** Answers a request for CHANNEL_PATH; undefined when it became a WebSocket. */
  upgrade(
    request: Request,
    server: Server<ConnectionData>,
    ip_address: string | null,
  ): Promise<Response | undefined>
  /** For `Bun.serve`; the whole server has one. */
  readonly websocket: WebSocketHandler<ConnectionData>
  /** Sends everybody away and waits until the listeners know. */
  stop(): Promise<void>
}

/** The master's end of the channel: signed upgrades, sealed frames, bounded queues. */
export function makeChannelServer(deps: ChannelDeps): ChannelServer {
  const now_ms = () => performance.now()
  const refusals = makeRefusals(deps)
  const nonces = makeNonces(now_ms)
  const admission = deps.admission ?? makeAdmission(now_ms)
  const registry = makeRegistry({
    ...deps,
    refusals,
    instances: makeInstances(now_ms),
    now_ms,
    heartbeat_ms: deps.times?.heartbeat_ms ?? LIMITS.heartbeat_ms,
    silence_ms: deps.times?.silence_ms ?? LIMITS.silence_ms,
    handshake_ms: deps.times?.handshake_ms ?? LIMITS.handshake_ms,
  })
  const sweeping = setInterval(registry.sweep, deps.times?.sweep_ms ?? CHANNEL_LIMITS.sweep_ms)
  let in_flight = 0
  let stopped = false

  const refuse = (
    reason: RefusalReason,
    claim: Claim | null,
    workspace_id: string | null,
    ip: string | null,
  ) => {
    const [agent_id, key_id] = [claim?.agent_id ?? null, claim?.key_id ?? null]
    const action = 'agent.connection_refused'
    refusals.note({ action, reason, agent_id, workspace_id, key_id, ip_address: ip })
    return refusalAnswer(reason, deps.now())
  }

  const admit = async (request: Request, server: Server<ConnectionData>, ip_address: string | null) => {
    const claim = readClaim(request.headers, pathWithQuery(request.url))
    if (!claim) return refuse('malformed', null, null, ip_address)
    const verdict = await authenticate(claim, ip_address, { ...deps, nonces })
    if (!verdict.ok) return refuse(verdict.reason, claim, verdict.workspace_id, ip_address)
    const data: ConnectionData = {
      agent_id: claim.agent_id,
      workspace_id: verdict.workspace_id,
      key_id: claim.key_id,
      protocol: claim.protocol,
      agent_nonce: claim.nonce,
      session_key: verdict.session_key,
      ip_address,
      retry_later_ms: admission.take(),
      socket: null,
    }
    return server.upgrade(request, { data }) ? undefined : busy('This is no WebSocket upgrade')
  }

  return {
    channel: registry,
    listen: registry.listen,
    async upgrade(request, server, ip_address) {
      if (stopped || in_flight >= CHANNEL_LIMITS.upgrades_in_flight) return busy('Too many agents at once')
      in_flight += 1
      try {
        return await admit(request, server, ip_address)
      } catch (error) {
        deps.log.error({ err: error }, 'An agent could not be authenticated')
        return busy('The master cannot check this agent now')
      } finally {
        in_flight -= 1
      }
    },
    websocket: {
      maxPayloadLength: LIMITS.frame_in_bytes,
      backpressureLimit: LIMITS.frame_bytes + CHANNEL_LIMITS.socket_buffer_bytes,
      closeOnBackpressureLimit: true,
      perMessageDeflate: false,
      sendPings: false,
      // The sweep is stricter, this is for sockets that it no longer knows.
      idleTimeout: MASTER_LIMITS.channel_idle_timeout_s,
      open(ws) {
        if (stopped || ws.data.retry_later_ms > 0) {
          ws.send(JSON.stringify({ type: 'retry_later', delay_ms: ws.data.retry_later_ms || 1_000 }))
          return ws.close(CLOSE_CODES.try_later, 'retry later')
        }
        const nonce = randomBytes(24).toString('base64url')
        const socket = new AgentSocket(ws, nonce, now_ms())
        ws.data.socket = socket
        registry.opened(socket)
        ws.send(JSON.stringify(greeting(ws.data.protocol, nonce, deps.now())))
      },
      message(ws, frame) {
        if (ws.data.socket) registry.frame(ws.data.socket, frame)
      },
      drain(ws) {
        ws.data.socket?.drained(now_ms())
      },
      close(ws) {
        if (ws.data.socket) registry.closed(ws.data.socket)
      },
    },
    async stop() {
      stopped = true
      clearInterval(sweeping)
      registry.cutAll(CLOSE_CODES.try_later, 'the master stops')
      await registry.idle()
    },
  }
}

const greeting = (protocol: number, nonce: string, now: Date) => ({
  type: 'hello',
  protocol,
  nonce,
  server_time: now.toISOString(),
})

/** What the agent can mend by itself is said; the rest is in the audit log only. */
const SAID: ReadonlySet<RefusalReason> = new Set([
  'stale_timestamp',
  'protocol_not_served',
  'too_many_nonces',
])

function refusalAnswer(reason: RefusalReason, now: Date): Response {
  const code = 'AGENT_SIGNATURE_INVALID'
  const said = SAID.has(reason) ? reason : 'not_authenticated'
  const details =
    reason === 'stale_timestamp'
      ? [{ field: 'timestamp', message: `The master's time is ${now.toISOString()}` }]
      : []
  const body: ErrorBody = { error: { code, message: `${ERRORS[code].title} (${said})`, details } }
  return answer(ERRORS[code].status, body, {
    [REFUSAL_HEADERS.reason]: said,
    [REFUSAL_HEADERS.time]: String(now.getTime()),
  })
}

function busy(message: string): Response {
  const body: ErrorBody = { error: { code: 'UNAVAILABLE', message, details: [] } }
  return answer(ERRORS.UNAVAILABLE.status, body, { 'retry-after': '1' })
}

/** The channel is served over TLS only. */
function answer(status: number, body: ErrorBody, headers: Record<string, string>): Response {
  const response = new Response(JSON.stringify(body), { status, headers: securityHeaders(true) })
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
  return response
}
