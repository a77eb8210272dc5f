import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { AgentMessage, MasterMessage } from '@nxmesh/contract/channel/messages'
import {
  CLOSE_CODES,
  deriveKeys,
  FrameOpener,
  FrameSealer,
  REFUSAL_HEADERS,
  SIGNATURE_HEADERS,
  signRequest,
} from '@nxmesh/contract/channel/signing'
import { OLDEST_PROTOCOL_VERSION } from '@nxmesh/contract/channel/version'
import { CHANNEL_PATH } from '@nxmesh/contract/endpoints/paths'
import WebSocket, { type RawData } from 'ws'
import { type MasterAddress, verifiedTls } from './address.ts'
import type { LinkLimits } from './link-limits.ts'
import { readGreeting, readMasterMessage } from './read-message.ts'
import type { SessionKey } from './session-keys.ts'

/** Who the agent is to its master, and the key that signs this connection. */
export interface LinkIdentity extends MasterAddress, SessionKey {
  readonly agent_id: string
}

/** What the greeting decided. */
export interface Session {
  readonly protocol: number
  readonly server_nonce: string
}

/** How a connection ended. */
export type Ending =
  /** The upgrade was refused. `server_time_ms`: the master's clock, when ours is too far from it. */
  | { readonly kind: 'refused'; readonly reason: string; readonly server_time_ms: number | null }
  /** The master takes no more agents at this moment. */
  | { readonly kind: 'retry_later'; readonly delay_ms: number }
  /** Another process has this identity. */
  | { readonly kind: 'identity_conflict' }
  | { readonly kind: 'lost'; readonly reason: string }

export interface ConnectionEvents {
  /** After the greeting: what to say first. */
  hello(session: Session): AgentMessage
  message(message: MasterMessage): void
  ended(ending: Ending): void
}

export interface Connection {
  /** Seals and sends; does nothing before the greeting and after the end. */
  send(message: AgentMessage): void
  close(reason: string): void
}

export interface ConnectionOptions {
  readonly identity: LinkIdentity
  readonly limits: LinkLimits
  /** The protocol version to ask for. */
  readonly protocol: number
  /** The master's clock as far as it is known, milliseconds since the epoch. */
  readonly clock_ms: number
  readonly events: ConnectionEvents
}

/** Dials once: signed upgrade, greeting, then sealed frames until the end, which is reported exactly once. */
export function openConnection(options: ConnectionOptions): Connection {
  const { identity, limits, events } = options
  const session_key = Buffer.from(identity.session_key, 'base64url')
  const nonce = randomBytes(24).toString('base64url')
  const socket = new WebSocket(channelUrl(identity.master_url), {
    ...verifiedTls(identity),
    headers: signedHeaders(options, session_key, nonce),
    perMessageDeflate: false,
    maxPayload: limits.frame_bytes,
  })
  let sealer: FrameSealer | null = null
  let opener: FrameOpener | null = null
  let ended = false

  const end = (ending: Ending) => {
    if (ended) return
    ended = true
    clearTimeout(timer)
    socket.terminate()
    events.ended(ending)
  }
  const lost = (reason: string) => end({ kind: 'lost', reason })
  const timer = setTimeout(() => lost('no greeting in time'), limits.handshake_ms)

  const send = (message: AgentMessage) => {
    if (ended || !sealer) return
    if (socket.bufferedAmount > limits.outbox_bytes) return lost('the master reads too slowly')
    socket.send(sealer.seal(JSON.stringify(message)), { binary: true })
  }
  const greeted = (json: string) => {
    const greeting = readGreeting(json)
    if (!greeting) return lost('the master sent no greeting')
    if (greeting.type === 'retry_later') return end({ kind: 'retry_later', delay_ms: greeting.delay_ms })
    if (greeting.protocol < OLDEST_PROTOCOL_VERSION || greeting.protocol > options.protocol)
      return lost(`the master speaks protocol ${greeting.protocol}`)
    clearTimeout(timer)
    const keys = deriveKeys(session_key, {
      agent_id: identity.agent_id,
      key_id: identity.key_id,
      protocol: greeting.protocol,
      agent_nonce: nonce,
      server_nonce: greeting.nonce,
    })
    sealer = new FrameSealer(keys.to_master)
    opener = new FrameOpener(keys.to_agent)
    send(events.hello({ protocol: greeting.protocol, server_nonce: greeting.nonce }))
  }
  const sealed = (bytes: Uint8Array) => {
    const json = opener?.open(bytes)
    if (json == null) return lost('a frame of the master was forged, repeated or out of order')
    const message = readMasterMessage(json)
    if (!message) return lost('the master sent a message that this agent does not know')
    events.message(message)
  }

  socket.on('message', (data: RawData, binary: boolean) => {
    if (ended) return
    const bytes = toBytes(data)
    if (opener === null) return binary ? lost('the greeting was sealed') : greeted(bytes.toString('utf8'))
    if (!binary) return lost('a frame of the master was not sealed')
    sealed(bytes)
  })
  socket.on('unexpected-response', (_request, response) => end(refusalOf(response)))
  socket.on('error', error => lost(error.message))
  socket.on('close', (code, reason) =>
    code === CLOSE_CODES.identity_conflict
      ? end({ kind: 'identity_conflict' })
      : lost(`closed with ${code} ${reason.toString('utf8')}`.trim()),
  )
  return { send, close: reason => lost(reason) }
}

function channelUrl(master_url: string): string {
  const url = new URL(CHANNEL_PATH, master_url)
  url.protocol = 'wss:'
  return url.href
}

function signedHeaders(
  { identity, clock_ms, protocol }: ConnectionOptions,
  session_key: Uint8Array,
  nonce: string,
): Record<string, string> {
  const timestamp = String(Math.round(clock_ms))
  const signature = signRequest(session_key, {
    method: 'GET',
    path: CHANNEL_PATH,
    agent_id: identity.agent_id,
    key_id: identity.key_id,
    timestamp,
    nonce,
    body: '',
  })
  return {
    [SIGNATURE_HEADERS.agent]: identity.agent_id,
    [SIGNATURE_HEADERS.key_id]: identity.key_id,
    [SIGNATURE_HEADERS.timestamp]: timestamp,
    [SIGNATURE_HEADERS.nonce]: nonce,
    [SIGNATURE_HEADERS.protocol]: String(protocol),
    [SIGNATURE_HEADERS.signature]: signature,
  }
}

function refusalOf(response: IncomingMessage): Ending {
  const header = (name: string) => {
    const value = response.headers[name]
    return typeof value === 'string' ? value : ''
  }
  const reason = header(REFUSAL_HEADERS.reason) || `HTTP ${response.statusCode ?? 0}`
  const time_ms = Number(header(REFUSAL_HEADERS.time) || Number.NaN)
  const stale = reason === 'stale_timestamp' && Number.isFinite(time_ms)
  response.resume()
  return { kind: 'refused', reason, server_time_ms: stale ? time_ms : null }
}

function toBytes(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data)
  return Buffer.isBuffer(data) ? data : Buffer.from(data)
}
