import { EVENT_TOPICS, type EventTopic, LIMITS, type Principal } from '@nxmesh/contract'
import { addressKey } from '../http/token-buckets.ts'
import type { EventSocket } from './event-socket.ts'
import { EVENTS_LIMITS } from './events-limits.ts'
import type { Subscription } from './events-rules.ts'

/** Who is connected, and who asks for what: kept in memory, with the bounds on both. */
export interface Readers {
  readonly all: ReadonlySet<EventSocket>
  /** Those with a subscription to a topic. */
  of(topic: EventTopic): ReadonlySet<EventSocket>
  /** Whether one more that is not logged in yet may come from this address. */
  mayEnter(ip_address: string | null): boolean
  enter(socket: EventSocket): void
  /** A reader is somebody now; false when that principal has too many sockets. */
  loggedIn(socket: EventSocket, principal: Principal): boolean
  subscribe(socket: EventSocket, id: string, subscription: Subscription): void
  unsubscribe(socket: EventSocket, id: string): boolean
  /** It gets nothing from here on. */
  silence(socket: EventSocket): void
  leave(socket: EventSocket): void
}

const TOPICS = Object.keys(EVENT_TOPICS) as EventTopic[]
const keyOf = (principal: Principal) => `${principal.type}:${principal.id}`

export function makeReaders(): Readers {
  const all = new Set<EventSocket>()
  const by_topic = new Map(TOPICS.map(topic => [topic, new Set<EventSocket>()] as const))
  const of = (topic: EventTopic): Set<EventSocket> => by_topic.get(topic) ?? new Set()
  const of_principal = new Map<string, number>()
  /** By socket: its address while it is a stranger's, its principal afterwards. */
  const strangers = new Map<EventSocket, string>()
  const principals = new Map<EventSocket, string>()
  const of_address = new Map<string, number>()

  const known = (socket: EventSocket) => {
    const address = strangers.get(socket)
    strangers.delete(socket)
    if (address !== undefined) count(of_address, address, -1)
  }
  const silence = (socket: EventSocket) => {
    for (const one of by_topic.values()) one.delete(socket)
  }

  return {
    all,
    of,
    mayEnter: ip_address =>
      strangers.size < EVENTS_LIMITS.strangers &&
      (of_address.get(addressKey(ip_address)) ?? 0) < EVENTS_LIMITS.strangers_per_address,
    enter(socket) {
      all.add(socket)
      if (socket.standing) return
      const address = addressKey(socket.origin.ip_address)
      strangers.set(socket, address)
      count(of_address, address, 1)
    },
    loggedIn(socket, principal) {
      const key = keyOf(principal)
      if ((of_principal.get(key) ?? 0) >= LIMITS.events_sockets_per_principal) return false
      known(socket)
      principals.set(socket, key)
      count(of_principal, key, 1)
      return true
    },
    subscribe(socket, id, subscription) {
      socket.subscribe(id, subscription)
      of(subscription.topic).add(socket)
    },
    unsubscribe(socket, id) {
      const topic = socket.subscriptions.get(id)?.topic
      if (topic === undefined || !socket.unsubscribe(id)) return false
      const others = [...socket.subscriptions.values()].some(one => one.topic === topic)
      if (!others) by_topic.get(topic)?.delete(socket)
      return true
    },
    silence,
    leave(socket) {
      if (!all.delete(socket)) return
      silence(socket)
      known(socket)
      const principal = principals.get(socket)
      principals.delete(socket)
      if (principal !== undefined) count(of_principal, principal, -1)
    },
  }
}

function count(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const next = (counts.get(key) ?? 0) + by
  if (next > 0) counts.set(key, next)
  else counts.delete(key)
}
