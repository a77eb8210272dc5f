import type { EventsCloseReason, EventTopic } from '@nxmesh/contract'
import type { Grant } from '../access/caller.ts'

/** Where something happened; both null: the instance. A workspace's organization is given where it is known. */
export interface EventPlace {
  readonly workspace_id: string | null
  readonly organization_id: string | null
}

/** Something to tell, with its text made once for all readers. */
export interface Happening {
  readonly topic: EventTopic
  readonly place: EventPlace
  /** The JSON of the message, from behind the sequence number on. */
  readonly tail: string
}

/** Absent: everywhere. */
export interface Subscription {
  readonly topic: EventTopic
  readonly workspace_id: string | undefined
  readonly organization_id: string | undefined
}

export const placeKey = ({ workspace_id, organization_id }: EventPlace): string =>
  `${workspace_id ?? ''}/${organization_id ?? ''}`

/** Whether a subscription asks for what happens in a place; whether its owner may see it is `Access`'s to say. */
export function asksFor(one: Subscription, topic: EventTopic, place: EventPlace): boolean {
  if (one.topic !== topic) return false
  if (one.workspace_id !== undefined) return one.workspace_id === place.workspace_id
  return one.organization_id === undefined || one.organization_id === place.organization_id
}

/** A message of an event without its sequence number, which each socket puts in front. */
export const tailOf = (message: object): string => JSON.stringify(message).slice(1)
export const withSequence = (sequence: number, tail: string): string => `{"sequence":${sequence},${tail}`

/** Whether something that was permitted is not any more. */
export function permitsLess(before: readonly Grant[], after: readonly Grant[]): boolean {
  if (before === after) return false
  return before.some(old => {
    const now = after.filter(
      one => one.organization_id === old.organization_id && one.workspace_id === old.workspace_id,
    )
    return [...old.permissions].some(permission => !now.some(one => one.permissions.has(permission)))
  })
}

/** What a close says to a person who looks at it; at most 123 bytes (RFC 6455 section 5.5). */
export const CLOSE_WORDS: Readonly<Record<EventsCloseReason, string>> = {
  violation: 'a message that the protocol does not have',
  login_refused: 'the token is not valid here',
  revoked: 'the account, session or key ended, or permits less than it did',
  silence: 'no login in time, or no sign of life',
  too_many: 'too many sockets of one principal',
  expired: 'the access token ended; log in with the next one before it does',
  too_slow: 'what waits is not read; read the state by REST and come back',
  too_fast: 'too many messages',
  try_later: 'the master cannot serve this socket now; come back',
}
