import { connect, type TLSSocket } from 'node:tls'
import {
  EVENTS_PATH,
  type EventsClientMessage,
  type EventsEvent,
  EventsServerMessage,
  type EventsServerMessageOf,
  type EventTopic,
} from '@nxmesh/contract'
import type { RunningMaster } from '@nxmesh/master'
import { until } from '../support/until.ts'

/** A client of the events socket; what it receives is held against the contract. */
export interface Reader {
  readonly received: EventsServerMessage[]
  /** The close code, once it is closed. */
  readonly code: () => number | null
  /** A message; text or bytes as they are. */
  say(message: EventsClientMessage | string | Uint8Array<ArrayBuffer>): void
  /** The next message of this type that was not waited for before. */
  next<T extends EventsServerMessage['type']>(type: T): Promise<EventsServerMessageOf<T>>
  /** Subscribes and waits for the answer: `subscribed`, or the code of the refusal. */
  subscribe(topic: EventTopic, place?: { workspace_id?: string; organization_id?: string }): Promise<string>
  events<T extends EventTopic>(topic: T): Extract<EventsEvent, { topic: T }>[]
  closed(deadline_ms?: number): Promise<number>
  close(): void
}

export type ReaderHeaders = Record<string, string>
export const bearer = (token: string): ReaderHeaders => ({ authorization: `Bearer ${token}` })

type At = Pick<RunningMaster, 'url' | 'ca_pem'>

/** Opens a socket; resolves with the first message of the master. */
export async function openReader(at: At, headers: ReaderHeaders = {}): Promise<Reader> {
  const tls = at.url.startsWith('https:') ? { tls: { ca: at.ca_pem } } : {}
  const socket = new WebSocket(at.url.replace(/^http/, 'ws') + EVENTS_PATH, { headers, ...tls } as never)
  const received: EventsServerMessage[] = []
  const taken = new Set<EventsServerMessage>()
  let code: number | null = null
  let subscriptions = 0
  socket.onmessage = ({ data }) => received.push(EventsServerMessage.parse(JSON.parse(String(data))))
  socket.onclose = event => {
    code = event.code
  }
  const reader: Reader = {
    received,
    code: () => code,
    say: message =>
      socket.send(
        typeof message === 'string' || message instanceof Uint8Array ? message : JSON.stringify(message),
      ),
    async next(type) {
      const found = await until(`a message ${type}`, () =>
        received.find(one => one.type === type && !taken.has(one)),
      )
      taken.add(found)
      return found as never
    },
    async subscribe(topic, place = {}) {
      const id = `s${++subscriptions}`
      reader.say({ type: 'subscribe', id, topic, ...place })
      const answer = await until(`an answer to ${id}`, () =>
        received.find(one => (one.type === 'subscribed' || one.type === 'refused') && one.id === id),
      )
      return answer.type === 'refused' ? answer.error.code : answer.type
    },
    events: topic => received.filter(one => one.type === 'event' && one.topic === topic) as never,
    async closed(deadline_ms = 15_000) {
      await until('the end of the socket', () => code !== null, { deadline_ms })
      return code ?? 0
    },
    close: () => socket.close(),
  }
  await until('the first message', () => received.length > 0 || code !== null)
  return reader
}

/** The answer to an upgrade that is refused. */
export async function refusedUpgrade(at: At, headers: ReaderHeaders): Promise<Response> {
  return await fetch(at.url + EVENTS_PATH, {
    headers: { ...UPGRADE, ...headers },
    tls: { ca: at.ca_pem },
  })
}

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

/** A reader that subscribes and then does not read any more, so that TCP's own buffers fill up, until it is resumed. */
export async function openStalledReader(at: At, token: string, topic: EventTopic): Promise<StalledReader> {
  const { hostname, port } = new URL(at.url)
  const socket = connect({ host: '127.0.0.1', port: Number(port), ca: at.ca_pem })
  const head = Object.entries({ host: `${hostname}:${port}`, ...UPGRADE, ...bearer(token) })
  const lines = head.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.write(`GET ${EVENTS_PATH} HTTP/1.1\r\n${lines}\r\n`)
  socket.write(textFrame(JSON.stringify({ type: 'subscribe', id: 'stalled', topic })))
  let tail: Buffer = Buffer.alloc(0)
  let all_bytes = 0
  let ended = false
  socket.on('data', (part: Buffer) => {
    all_bytes += part.length
    tail = Buffer.concat([tail, part]).subarray(-4_096)
  })
  socket.on('end', () => {
    ended = true
  })
  socket.on('close', () => {
    ended = true
  })
  socket.on('error', () => {})
  await until('the subscription of the stalled reader', () => tail.includes('"subscribed"'))
  socket.pause()
  return {
    socket,
    async resume() {
      socket.resume()
      await until('the end of the stalled reader', () => ended)
      return { all_bytes, close_code: closeCodeIn(tail) }
    },
  }
}

export interface StalledReader {
  readonly socket: TLSSocket
  /** Reads on to the end; the code is that of the close frame, null without one. */
  resume(): Promise<{ all_bytes: number; close_code: number | null }>
}

/** One masked text frame (RFC 6455 section 5.2) of up to 65,535 bytes. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  const mask = Buffer.from([1, 2, 3, 4])
  const head = Buffer.alloc(4)
  head.writeUInt8(0x81, 0)
  head.writeUInt8(0x80 | 126, 1)
  head.writeUInt16BE(payload.byteLength, 2)
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))])
}

/** The last frame is the close: 0x88, its length, the code. */
function closeCodeIn(tail: Buffer): number | null {
  const at = tail.lastIndexOf(0x88)
  if (at < 0 || at + 4 > tail.length) return null
  return at + 2 + (tail[at + 1] ?? 0) === tail.length ? tail.readUInt16BE(at + 2) : null
}
