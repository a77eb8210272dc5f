import { z } from 'zod'
import { Agent } from '../entities/agent.ts'
import { AuditEntry } from '../entities/audit.ts'
import { Principal } from '../entities/common.ts'
import { DeploymentSummary, TARGET_STATES } from '../entities/deployment.ts'
import { LIMITS } from '../limits.ts'
import type { Permission } from '../permissions.ts'
import { id, time } from '../values.ts'

/** Messages of the events socket, each one frame of JSON text; docs/reference/events.md says the same for people. */

/** What one can subscribe to, and the permission without which nothing of it is shown. */
export const EVENT_TOPICS = {
  deployments: 'config:read',
  agents: 'agent:read',
  audit: 'audit:read',
} as const satisfies Record<string, Permission>
export type EventTopic = keyof typeof EVENT_TOPICS
const topics = Object.keys(EVENT_TOPICS) as [EventTopic, ...EventTopic[]]
const topic = z.enum(topics)

/** Close codes (RFC 6455 section 7.4.2: private use), the channel's where they mean the same. */
export const EVENTS_CLOSE_CODES = {
  /** A message that the protocol does not have, a binary frame, or one that is too large. */
  violation: 4400,
  /** The token of a login is not valid, or belongs to somebody else than the one before it. */
  login_refused: 4401,
  /** The account, session or API key ended, or permits less than it did. */
  revoked: 4403,
  /** No login in time, or no sign of life. */
  silence: 4408,
  /** The principal has too many sockets. */
  too_many: 4409,
  /** The access token ended and no next one came. */
  expired: 4410,
  /** The reader does not read: what it missed, it reads by REST when it is back. */
  too_slow: 4413,
  /** The client sends more messages than it may. */
  too_fast: 4428,
  /** The master stops, or cannot check who reads. */
  try_later: 4429,
} as const
export type EventsCloseReason = keyof typeof EVENTS_CLOSE_CODES

// --- Client to master ---

/** Chosen by the client, to tell its subscriptions apart. */
const subscription_id = z
  .string()
  .min(1)
  .max(LIMITS.events_id_chars)
  .regex(/^[A-Za-z0-9._:-]+$/)

/** In the first message of a socket that is not logged in; later with the next token of the same principal. */
export const EventsLogin = z.strictObject({
  type: z.literal('login'),
  token: z
    .string()
    .min(16)
    .max(LIMITS.events_token_chars)
    .regex(/^[A-Za-z0-9._-]+$/),
})
/** Without a place: everything that the permission reaches, also what is made later. */
export const EventsSubscribe = z
  .strictObject({
    type: z.literal('subscribe'),
    id: subscription_id,
    topic,
    workspace_id: id.optional(),
    organization_id: id.optional(),
  })
  .refine(
    one => one.workspace_id === undefined || one.organization_id === undefined,
    'workspace_id or organization_id, not both',
  )
export const EventsUnsubscribe = z.strictObject({ type: z.literal('unsubscribe'), id: subscription_id })

export const EventsClientMessage = z.discriminatedUnion('type', [
  EventsLogin,
  EventsSubscribe,
  EventsUnsubscribe,
])
export type EventsClientMessage = z.infer<typeof EventsClientMessage>

// --- Master to client ---

const error = z.object({ code: z.string().describe('As in docs/reference/errors.md'), message: z.string() })

/** The first message of a socket that is not logged in. */
export const EventsHello = z.object({
  type: z.literal('hello'),
  protocol: z.int(),
  login_within_ms: z.int(),
})
/** After each login: who reads, and until when (null: as long as it is not revoked). */
export const EventsWelcome = z.object({
  type: z.literal('welcome'),
  protocol: z.int(),
  principal: Principal,
  expires_at: time.nullable(),
})
/** From here on events come; what was before is read by REST, after this message. */
export const EventsSubscribed = z.object({ type: z.literal('subscribed'), id: z.string(), topic })
export const EventsUnsubscribed = z.object({ type: z.literal('unsubscribed'), id: z.string() })
/** The answer to a subscribe or unsubscribe that is not carried out. */
export const EventsRefused = z.object({ type: z.literal('refused'), id: z.string(), error })
/** A subscription ends: its place is gone, or may not be seen any more. */
export const EventsEnded = z.object({ type: z.literal('ended'), id: z.string(), error })
/** Why the socket is being closed, for people. */
export const EventsError = z.object({ type: z.literal('error'), error })

/** The number of events on this socket so far: one that is not its predecessor's plus one is a gap. */
const sequence = z.int()
const event = { type: z.literal('event'), sequence, at: time }

export const DeploymentEvent = z.object({
  ...event,
  topic: z.literal('deployments'),
  workspace_id: id,
  deployment_id: id,
  deployment: DeploymentSummary.describe('As the list of deployments shows it'),
  target_states: z
    .partialRecord(z.enum(TARGET_STATES), z.int())
    .describe('How many targets are in each state'),
})
export const AgentEvent = z.object({
  ...event,
  topic: z.literal('agents'),
  workspace_id: id,
  agent_id: id,
  agent: Agent.nullable().describe('As the list of agents shows it; null: it was deleted'),
})
export const AuditEvent = z.object({
  ...event,
  topic: z.literal('audit'),
  workspace_id: id.nullable(),
  organization_id: id.nullable(),
  entry: AuditEntry.describe('As the audit log shows it'),
  shortened: z.boolean().describe('`before` and `after` are left out, because they are large'),
})
/** More changed in this place than is told one by one: read it again. */
export const EventsResync = z.object({
  type: z.literal('resync'),
  sequence,
  at: time,
  topic,
  workspace_id: id.nullable(),
  organization_id: id.nullable(),
})

export const EventsEvent = z.discriminatedUnion('topic', [DeploymentEvent, AgentEvent, AuditEvent])
export type EventsEvent = z.infer<typeof EventsEvent>
export const EventsServerMessage = z.discriminatedUnion('type', [
  EventsHello,
  EventsWelcome,
  EventsSubscribed,
  EventsUnsubscribed,
  EventsRefused,
  EventsEnded,
  EventsError,
  EventsEvent,
  EventsResync,
])
export type EventsServerMessage = z.infer<typeof EventsServerMessage>
export type EventsServerMessageOf<T extends EventsServerMessage['type']> = Extract<
  EventsServerMessage,
  { type: T }
>
