import { z } from 'zod'
import { ConfigError } from '../entities/deployment.ts'
import { LIMITS } from '../limits.ts'
import { id, time } from '../values.ts'

/** Messages of the channel (protocol version 2). Unknown fields are ignored, unknown types are an error of the sender. */

const short = z.string().max(256)
const long = z.string().max(LIMITS.message_chars)
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const counter = z.int().min(0)

// --- Bundle: a manifest of object hashes ---

/** `kind/id` of one object in a bundle, e.g. `virtual_host/0192…` or `listener/80`. */
export const objectKey = z
  .string()
  .max(200)
  .regex(/^[a-z_]+\/[A-Za-z0-9.:_-]+$/)
export const ManifestEntry = z.tuple([objectKey, sha256])
export type ManifestEntry = z.infer<typeof ManifestEntry>

/** The agent builds the new manifest from the one it has under `base` (null: from nothing) and checks `bundle_hash`. */
export const ManifestDelta = z.object({
  base: sha256.nullable(),
  put: z.array(ManifestEntry).max(LIMITS.manifest_entries),
  remove: z.array(objectKey).max(LIMITS.manifest_entries),
})
export type ManifestDelta = z.infer<typeof ManifestDelta>

/** What fences a plan: the agent refuses a lower (epoch, generation) than it has answered. */
const order = { deployment_id: id, epoch: counter, generation: counter }

// --- First frame, in the clear: nothing is derived yet ---

export const Hello = z.object({
  type: z.literal('hello'),
  protocol: z.int(),
  nonce: z.string().max(64),
  server_time: time,
})
export const RetryLater = z.object({ type: z.literal('retry_later'), delay_ms: z.int().min(0).max(600_000) })
export const Greeting = z.discriminatedUnion('type', [Hello, RetryLater])
export type Greeting = z.infer<typeof Greeting>

// --- Agent to master ---

/** What rendering must know about this nginx, and what people want to see of the host. */
export const AgentFacts = z.object({
  hostname: short,
  agent_version: short,
  renderer_version: short,
  deployment_mode: z.enum(['standalone', 'docker_sidecar', 'k8s_sidecar']),
  capabilities: z.array(z.string().max(64)).max(64),
  render: z.object({
    nginx_version: short,
    modules: z.array(z.string().max(128)).max(256),
    listen_address: z.string().max(64).nullable(),
    carried: z.object({
      default_servers: z.array(z.string().max(128)).max(1_000),
      http_directives: z.array(z.string().max(128)).max(1_000),
      hash_floors: z
        .object({
          server_names_hash_max_size: counter.nullable(),
          server_names_hash_bucket_size: counter.nullable(),
        })
        .exactOptional(),
    }),
  }),
})
export type AgentFacts = z.infer<typeof AgentFacts>

/** What the agent serves, proved by itself. `bundle_hash` is null before the first deployment. */
export const AgentPosition = z.object({
  epoch: counter,
  generation: counter,
  deployment_id: id.nullable(),
  bundle_hash: sha256.nullable(),
  tree_hash: sha256.nullable(),
  hold: z.object({ since: time, reason: long }).nullable(),
})
export type AgentPosition = z.infer<typeof AgentPosition>

export const AgentHello = z.object({
  type: z.literal('agent_hello'),
  protocol: z.int(),
  /** Random, made when the agent's process starts: tells a restart from a second machine with the same identity. */
  instance: z.string().min(16).max(64),
  facts: AgentFacts,
  position: AgentPosition,
})
export const FactsChanged = z.object({ type: z.literal('facts_changed'), facts: AgentFacts })
export const PositionChanged = z.object({ type: z.literal('position_changed'), position: AgentPosition })
export const Heartbeat = z.object({ type: z.literal('heartbeat'), position: AgentPosition })
/** Ask for objects of one's own manifest that are not in the cache. With `manifest`, also for the whole manifest. */
export const Need = z.object({
  type: z.literal('need'),
  deployment_id: id,
  manifest: z.boolean(),
  hashes: z.array(sha256).max(LIMITS.manifest_entries),
})
const timings = z.record(z.string().max(64), z.number())
export const Prepared = z.object({
  type: z.literal('prepared'),
  ...order,
  bundle_hash: sha256,
  tree_hash: sha256,
  timings_ms: timings,
})
/** nginx or a rule said no; nothing live was touched. */
export const Rejected = z.object({
  type: z.literal('rejected'),
  ...order,
  error: ConfigError,
  timings_ms: timings,
})
/** Disk, time, a superseding order: counts as offline, says nothing about the configuration. */
export const Unable = z.object({ type: z.literal('unable'), ...order, message: long })
export const Loaded = z.object({ type: z.literal('loaded'), ...order, at: time })
export const Serving = z.object({
  type: z.literal('serving'),
  ...order,
  at: time,
  tree_hash: sha256,
  timings_ms: timings,
})
/** The committed configuration could not be loaded. `swapped_back`: the one before is served again. */
export const Failed = z.object({
  type: z.literal('failed'),
  ...order,
  at: time,
  error: ConfigError,
  swapped_back: z.boolean(),
  timings_ms: timings,
})

/** The offered key is kept durably; `proof` is `proveKey` with it. */
export const KeyAccepted = z.object({ type: z.literal('key_accepted'), key_id: id, proof: short })

export const AgentMessage = z.discriminatedUnion('type', [
  AgentHello,
  FactsChanged,
  PositionChanged,
  Heartbeat,
  Need,
  Prepared,
  Rejected,
  Unable,
  Loaded,
  Serving,
  Failed,
  KeyAccepted,
])
export type AgentMessage = z.infer<typeof AgentMessage>
export type AgentMessageOf<T extends AgentMessage['type']> = Extract<AgentMessage, { type: T }>

// --- Master to agent ---

export const Welcome = z.object({
  type: z.literal('welcome'),
  agent_id: id,
  heartbeat_ms: z.int().min(100).max(600_000),
})
/** Phase one. Objects that the agent lacks follow in `objects` messages; what is still missing it asks for. */
export const Prepare = z.object({
  type: z.literal('prepare'),
  ...order,
  release_id: id,
  release_number: counter,
  bundle_hash: sha256,
  manifest: ManifestDelta,
  /** How many objects follow at once without being asked for. */
  object_count: counter,
  deadline_ms: z.int().min(100).max(600_000),
})
export const Objects = z.object({
  type: z.literal('objects'),
  deployment_id: id,
  objects: z.array(z.object({ hash: sha256, json: z.string().max(LIMITS.object_bytes) })).max(10_000),
})
/** Phase two: only the bundle that was prepared under this order. */
export const Commit = z.object({ type: z.literal('commit'), ...order, bundle_hash: sha256 })
export const Abort = z.object({ type: z.literal('abort'), ...order, reason: long })
export const LiftHold = z.object({ type: z.literal('lift_hold') })
/** Answers a heartbeat, so that an agent notices a master that fell silent. */
export const HeartbeatAck = z.object({ type: z.literal('heartbeat_ack') })

/** A new session key (base64url, 32 bytes), to be kept beside the one in use. From protocol version 2 on, as is `key_promoted`. */
export const KeyOffer = z.object({ type: z.literal('key_offer'), key_id: id, session_key: short })
/** Which key is the primary one: said after a promotion, and at the beginning of each connection. */
export const KeyPromoted = z.object({ type: z.literal('key_promoted'), key_id: id })

export const MasterMessage = z.discriminatedUnion('type', [
  Welcome,
  Prepare,
  Objects,
  Commit,
  Abort,
  LiftHold,
  HeartbeatAck,
  KeyOffer,
  KeyPromoted,
])
export type MasterMessage = z.infer<typeof MasterMessage>
export type MasterMessageOf<T extends MasterMessage['type']> = Extract<MasterMessage, { type: T }>
