import {
  ApiError,
  EVENTS_VERSION,
  EventsClientMessage,
  type EventsCloseReason,
  type EventsServerMessage,
  LIMITS,
  validationError,
} from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { Access } from '../access/caller.ts'
import type { Standing, Standings } from '../access/standing.ts'
import { parseStrictJson } from '../http/strict-json.ts'
import type { EventSocket } from './event-socket.ts'
import type { Hub } from './hub.ts'
import type { Readers } from './readers.ts'
import { requireSubscription } from './scopes.ts'

export interface ConversationDeps {
  readonly readers: Readers
  readonly hub: Hub
  readonly access: Access
  readonly standings: Pick<Standings, 'ofToken'>
  readonly log: Pick<Logger, 'error'>
  readonly now_ms: () => number
}

/** What clients say, and the answers: each client's messages one after the other. */
export interface Conversation {
  /** The first words of the master; with a standing from the upgrade the reader is logged in by it. */
  begin(socket: EventSocket): void
  hear(socket: EventSocket, frame: string | Uint8Array): void
}

type Message<T extends EventsClientMessage['type']> = Extract<EventsClientMessage, { type: T }>

export function makeConversation(deps: ConversationDeps): Conversation {
  const { readers, hub, access, now_ms } = deps
  const say = (socket: EventSocket, message: EventsServerMessage) => socket.say(message, now_ms())

  /** Says why, then closes. */
  const part = (socket: EventSocket, error: ApiError, reason: EventsCloseReason) => {
    say(socket, { type: 'error', error: publicOf(error) })
    hub.end(socket, reason)
  }

  const welcome = (socket: EventSocket, { caller, ends_ms }: Standing) =>
    say(socket, {
      type: 'welcome',
      protocol: EVENTS_VERSION,
      principal: caller.principal,
      expires_at: Number.isFinite(ends_ms) ? new Date(ends_ms).toISOString() : null,
    })

  /** From now on the reader is somebody; whatever was forgotten since the look-up is looked up again before anything is shown. */
  const enter = (socket: EventSocket, standing: Standing, forgets: number) => {
    if (!readers.loggedIn(socket, standing.caller.principal)) return hub.end(socket, 'too_many')
    socket.standing = standing
    socket.checked_ms = socket.heard_ms = now_ms()
    if (forgets !== hub.forgets()) hub.forget([standing.credential_id])
    welcome(socket, standing)
  }

  const login = async (socket: EventSocket, { token }: Message<'login'>) => {
    const forgets = hub.forgets()
    const next = await deps.standings.ofToken(token, socket.origin)
    if (socket.closed) return
    const refused = (message: string) =>
      part(socket, new ApiError('UNAUTHENTICATED', message), 'login_refused')
    if (!next) return refused('The token is not valid: send an API key or an access token that has not ended')
    const before = socket.standing
    if (!before) return enter(socket, next, forgets)
    const [was, is] = [before.caller.principal, next.caller.principal]
    if (was.type !== is.type || was.id !== is.id)
      return refused('The token belongs to somebody else: open another socket for another principal')
    if (!hub.take(socket, next)) return
    if (forgets !== hub.forgets()) hub.forget([next.credential_id])
    welcome(socket, next)
  }

  const subscribe = async (socket: EventSocket, message: Message<'subscribe'>) => {
    const { id, topic, workspace_id, organization_id } = message
    const subscription = { topic, workspace_id, organization_id }
    try {
      if (socket.subscriptions.has(id)) throw new ApiError('CONFLICT', 'There is a subscription with this id')
      if (socket.subscriptions.size >= LIMITS.events_subscriptions)
        throw new ApiError(
          'LIMIT_REACHED',
          `A socket has at most ${LIMITS.events_subscriptions} subscriptions`,
        )
      // Once more where the standing changed meanwhile: the answer is about the one that is there.
      for (let asked: Standing | null = null; asked !== socket.standing; ) {
        asked = socket.standing
        if (asked) await requireSubscription(access, asked.caller, subscription)
      }
      if (socket.closed) return
      readers.subscribe(socket, id, subscription)
      say(socket, { type: 'subscribed', id, topic })
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      say(socket, { type: 'refused', id, error: publicOf(error) })
    }
  }

  const unsubscribe = (socket: EventSocket, { id }: Message<'unsubscribe'>) => {
    if (readers.unsubscribe(socket, id)) return say(socket, { type: 'unsubscribed', id })
    const error = new ApiError('NOT_FOUND', 'There is no subscription with this id')
    say(socket, { type: 'refused', id, error: publicOf(error) })
  }

  const answer = async (socket: EventSocket, message: EventsClientMessage) => {
    if (socket.closed) return
    if (message.type === 'login') return await login(socket, message)
    if (!socket.standing)
      return part(socket, new ApiError('UNAUTHENTICATED', 'The login comes first'), 'violation')
    return message.type === 'subscribe' ? await subscribe(socket, message) : unsubscribe(socket, message)
  }

  return {
    begin(socket) {
      readers.enter(socket)
      const { standing } = socket
      if (standing) return enter(socket, standing, socket.asked_at_forget)
      say(socket, { type: 'hello', protocol: EVENTS_VERSION, login_within_ms: LIMITS.events_login_ms })
    },
    hear(socket, frame) {
      if (socket.closed) return
      if (!socket.mayPost(now_ms())) return hub.end(socket, 'too_fast')
      // A stranger's time to log in is not lengthened by talking.
      if (socket.standing) socket.heard_ms = now_ms()
      let message: EventsClientMessage
      try {
        message = read(frame)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        return part(socket, error, 'violation')
      }
      socket.inbox += 1
      socket.turn = socket.turn
        .then(() => answer(socket, message))
        .catch((err: unknown) => {
          deps.log.error({ err }, 'A message on the events socket could not be answered')
          hub.end(socket, 'try_later')
        })
        .finally(() => {
          socket.inbox -= 1
        })
    },
  }
}

const publicOf = ({ code, message, details }: ApiError) => ({
  code,
  message: [message, ...details.map(one => `${one.field}: ${one.message}`)].join('; '),
})

/** Throws MALFORMED_REQUEST, PAYLOAD_TOO_LARGE or VALIDATION_ERROR. */
function read(frame: string | Uint8Array): EventsClientMessage {
  if (typeof frame !== 'string') throw new ApiError('MALFORMED_REQUEST', 'Messages are text frames of JSON')
  if (Buffer.byteLength(frame) > LIMITS.events_frame_bytes)
    throw new ApiError('PAYLOAD_TOO_LARGE', `A message has at most ${LIMITS.events_frame_bytes} bytes`)
  const parsed = EventsClientMessage.safeParse(parseStrictJson(frame))
  if (!parsed.success) throw validationError(parsed.error, 'There is no such message')
  return parsed.data
}
