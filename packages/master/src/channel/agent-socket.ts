import { LIMITS } from '@nxmesh/contract'
import {
  CLOSE_CODES,
  deriveKeys,
  FRAME_OVERHEAD_BYTES,
  FrameOpener,
  FrameSealer,
} from '@nxmesh/contract/channel/signing'
import type { ServerWebSocket } from 'bun'
import type { ChannelLink } from './channel.ts'
import { CHANNEL_LIMITS } from './channel-limits.ts'

/** What an authenticated upgrade hands to the socket. */
export interface ConnectionData {
  readonly agent_id: string
  readonly workspace_id: string
  readonly key_id: string
  readonly protocol: number
  readonly agent_nonce: string
  readonly session_key: Uint8Array
  readonly ip_address: string | null
  /** 0: admitted; otherwise the greeting is this delay. */
  readonly retry_later_ms: number
  socket: AgentSocket | null
}

/** One connection of one agent: its keys, what it is waiting for, what waits for it. Times by a clock that nobody sets. */
export class AgentSocket {
  readonly data: ConnectionData
  /** Set by the hello; null until then. */
  instance: string | null = null
  closed = false
  readonly link: ChannelLink
  heard_ms: number
  readonly #ws: ServerWebSocket<ConnectionData>
  readonly #sealer: FrameSealer
  readonly #opener: FrameOpener
  // Most agents have nothing waiting: no array for them.
  #outbox: Uint8Array[] | null = null
  #outbox_bytes = 0
  #drained_ms: number

  constructor(ws: ServerWebSocket<ConnectionData>, server_nonce: string, now_ms: number) {
    this.#ws = ws
    this.data = ws.data
    this.link = { protocol: ws.data.protocol, key_id: ws.data.key_id, server_nonce }
    this.heard_ms = now_ms
    this.#drained_ms = now_ms
    const keys = deriveKeys(ws.data.session_key, { ...ws.data, server_nonce })
    this.#sealer = new FrameSealer(keys.to_agent)
    this.#opener = new FrameOpener(keys.to_master)
  }

  /** Null for a frame that was forged, repeated or out of order. */
  open(frame: Uint8Array): string | null {
    return this.#opener.open(frame)
  }

  /** False when the message does not go: the socket is closed, its queue full (it is cut then), or the message too large. */
  send(payload: Uint8Array, now_ms: number): boolean {
    if (this.closed || payload.byteLength + FRAME_OVERHEAD_BYTES > LIMITS.frame_bytes) return false
    if (this.#outbox === null && this.#ws.getBufferedAmount() < CHANNEL_LIMITS.socket_buffer_bytes)
      return this.#write(payload)
    if (this.#outbox_bytes + payload.byteLength > LIMITS.channel_queue_bytes) {
      this.cut(CLOSE_CODES.too_slow, 'the queue is full')
      return false
    }
    if (this.#outbox === null) {
      this.#outbox = []
      this.#drained_ms = now_ms
    }
    this.#outbox.push(payload)
    this.#outbox_bytes += payload.byteLength
    return true
  }

  /** The socket has room again. Sealed only now, so that what waits is one encoding for all who get it. */
  drained(now_ms: number): void {
    this.#drained_ms = now_ms
    const outbox = this.#outbox
    if (!outbox) return
    let sent = 0
    while (sent < outbox.length && this.#ws.getBufferedAmount() < CHANNEL_LIMITS.socket_buffer_bytes) {
      const payload = outbox[sent++]
      if (!payload || !this.#write(payload)) return
      this.#outbox_bytes -= payload.byteLength
    }
    outbox.splice(0, sent)
    if (outbox.length === 0) this.#outbox = null
  }

  /** Something waits, and nothing of it went out for this long. */
  isStuck(now_ms: number, patience_ms: number): boolean {
    return this.#outbox !== null && now_ms - this.#drained_ms >= patience_ms
  }

  cut(code: number, reason: string): void {
    if (this.closed) return
    this.closed = true
    this.#outbox = null
    // One that does not read would not read the reason either.
    if (code === CLOSE_CODES.too_slow || code === CLOSE_CODES.silence) this.#ws.terminate()
    else this.#ws.close(code, reason)
  }

  #write(payload: Uint8Array): boolean {
    // 0: dropped by the socket's own limit; a gap in the sequence, so nothing after it could be opened.
    if (this.#ws.sendBinary(this.#sealer.seal(payload)) !== 0) return true
    this.cut(CLOSE_CODES.too_slow, 'the socket took no more')
    return false
  }
}
