import {
  EVENTS_CLOSE_CODES,
  type EventsCloseReason,
  type EventsServerMessage,
  LIMITS,
} from '@nxmesh/contract'
import type { ServerWebSocket } from 'bun'
import type { Origin } from '../access/authenticator.ts'
import type { Standing } from '../access/standing.ts'
import { EVENTS_LIMITS } from './events-limits.ts'
import { CLOSE_WORDS, type Subscription, withSequence } from './events-rules.ts'

interface Waiting {
  readonly text: string
  /** Null: the text is the whole message. */
  readonly sequence: number | null
  readonly bytes: number
}
type Outgoing = Omit<Waiting, 'bytes'>

const NONE: ReadonlyMap<string, Subscription> = new Map()

/** One reader: who it is, what it asks for, what waits for it. It is the data of its WebSocket. Times by a clock that nobody sets. */
export class EventSocket {
  readonly origin: Origin
  /** Null until the login. */
  standing: Standing | null
  /** How often something had been forgotten when the standing was asked for. */
  asked_at_forget: number
  /** Something of it was forgotten: nothing is shown before it was asked for again. */
  suspect = false
  forgets = 0
  checking = false
  checked_ms: number
  heard_ms: number
  pinged_ms: number
  /** Null as long as it is open. */
  closing_ms: number | null = null
  /** Messages of the client that are not answered yet, and the end of their line. */
  inbox = 0
  turn: Promise<void> = Promise.resolve()
  #ws: ServerWebSocket<EventSocket> | null = null
  #subscriptions: Map<string, Subscription> | null = null
  #sequence = 0
  // Most readers have nothing waiting: no array for them.
  #outbox: Waiting[] | null = null
  #outbox_bytes = 0
  #drained_ms = 0
  #tokens: number = LIMITS.events_messages_burst
  #tokens_ms: number

  constructor(origin: Origin, standing: Standing | null, forgets: number, now_ms: number) {
    this.origin = origin
    this.standing = standing
    this.asked_at_forget = forgets
    this.checked_ms = now_ms
    this.heard_ms = now_ms
    this.pinged_ms = now_ms
    this.#tokens_ms = now_ms
  }

  opened(ws: ServerWebSocket<EventSocket>): void {
    this.#ws = ws
  }

  get closed(): boolean {
    return this.closing_ms !== null
  }

  get subscriptions(): ReadonlyMap<string, Subscription> {
    return this.#subscriptions ?? NONE
  }

  subscribe(id: string, subscription: Subscription): void {
    this.#subscriptions ??= new Map()
    this.#subscriptions.set(id, subscription)
  }

  unsubscribe(id: string): boolean {
    return this.#subscriptions?.delete(id) ?? false
  }

  /** Counts a message of the client; false when it sends more than it may. */
  mayPost(now_ms: number): boolean {
    const passed_s = (now_ms - this.#tokens_ms) / 1_000
    this.#tokens = Math.min(
      LIMITS.events_messages_burst,
      this.#tokens + passed_s * LIMITS.events_messages_per_s,
    )
    this.#tokens_ms = now_ms
    if (this.#tokens < 1 || this.inbox >= EVENTS_LIMITS.inbox_messages) return false
    this.#tokens -= 1
    return true
  }

  say(message: EventsServerMessage, now_ms: number): void {
    this.#send({ text: JSON.stringify(message), sequence: null }, now_ms)
  }

  /** An event, under this socket's next number. */
  tell(tail: string, now_ms: number): void {
    this.#send({ text: tail, sequence: ++this.#sequence }, now_ms)
  }

  /** The socket has room again. */
  drained(now_ms: number): void {
    this.#drained_ms = now_ms
    const outbox = this.#outbox
    if (!outbox) return
    let sent = 0
    while (sent < outbox.length && this.#hasRoom()) {
      const next = outbox[sent++]
      if (!next || !this.#write(next, now_ms)) return
      this.#outbox_bytes -= next.bytes
    }
    outbox.splice(0, sent)
    if (outbox.length === 0) this.#outbox = null
  }

  /** Something waits, and nothing of it went out for a long time. */
  isStuck(now_ms: number): boolean {
    return this.#outbox !== null && now_ms - this.#drained_ms >= LIMITS.events_stuck_ms
  }

  ping(now_ms: number): void {
    this.pinged_ms = now_ms
    this.#ws?.ping()
  }

  /** Ends it; who reads finds the code behind what was on its way. */
  close(reason: EventsCloseReason, now_ms: number): void {
    if (this.closed) return
    this.closing_ms = now_ms
    this.#outbox = null
    this.#subscriptions = null
    this.#ws?.close(EVENTS_CLOSE_CODES[reason], CLOSE_WORDS[reason])
  }

  /** For one that does not even read that it was closed. */
  terminate(now_ms: number): void {
    this.closing_ms ??= now_ms
    this.#outbox = null
    this.#ws?.terminate()
  }

  #hasRoom(): boolean {
    return (this.#ws?.getBufferedAmount() ?? 0) < EVENTS_LIMITS.socket_buffer_bytes
  }

  #send(message: Outgoing, now_ms: number): void {
    if (this.closed || !this.#ws) return
    if (this.#outbox === null && this.#hasRoom()) {
      this.#write(message, now_ms)
      return
    }
    this.#outbox ??= []
    if (this.#outbox.length === 0) this.#drained_ms = now_ms
    const bytes = Buffer.byteLength(message.text)
    this.#outbox.push({ ...message, bytes })
    this.#outbox_bytes += bytes
    const full =
      this.#outbox.length > LIMITS.events_queue_messages || this.#outbox_bytes > LIMITS.events_queue_bytes
    if (full) this.close('too_slow', now_ms)
  }

  #write({ text, sequence }: Outgoing, now_ms: number): boolean {
    // 0: dropped by the socket's own limit; the reader would miss it without knowing.
    if (this.#ws?.send(sequence === null ? text : withSequence(sequence, text)) !== 0) return true
    this.close('too_slow', now_ms)
    return false
  }
}
