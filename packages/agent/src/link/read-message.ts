import type { Greeting, MasterMessage } from '@nxmesh/contract/channel/messages'
import { LIMITS } from '@nxmesh/contract/limits'

/**
 * Checks what the master sends by hand: the schemas of the contract say the same, but loading them costs the agent
 * megabytes. A test holds both against each other.
 */

type Fields = Record<string, unknown>
type Check = (value: unknown) => boolean

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const SHA256 = /^[0-9a-f]{64}$/
const OBJECT_KEY = /^[a-z_]+\/[A-Za-z0-9.:_-]+$/
const OBJECT_KEY_CHARS = 200
const OBJECTS_A_MESSAGE = 10_000

const text =
  (max_chars: number): Check =>
  value =>
    typeof value === 'string' && value.length <= max_chars
const matches =
  (pattern: RegExp, max_chars: number): Check =>
  value =>
    typeof value === 'string' && value.length <= max_chars && pattern.test(value)
const integer =
  (min: number, max: number): Check =>
  value =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
const listOf =
  (check: Check, max: number): Check =>
  value =>
    Array.isArray(value) && value.length <= max && value.every(check)
const fields =
  (checks: Readonly<Record<string, Check>>): Check =>
  value =>
    isFields(value) && Object.entries(checks).every(([name, check]) => check(value[name]))
const isFields = (value: unknown): value is Fields =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

const id = matches(UUID, 36)
const hash = matches(SHA256, 64)
const key = matches(OBJECT_KEY, OBJECT_KEY_CHARS)
const counter = integer(0, Number.MAX_SAFE_INTEGER)
const wait = integer(100, 600_000)
const order = { deployment_id: id, epoch: counter, generation: counter }
const entry: Check = value => Array.isArray(value) && value.length === 2 && key(value[0]) && hash(value[1])

const CHECKS: Readonly<Record<MasterMessage['type'], Check>> = {
  welcome: fields({ agent_id: id, heartbeat_ms: wait }),
  prepare: fields({
    ...order,
    release_id: id,
    release_number: counter,
    bundle_hash: hash,
    manifest: fields({
      base: value => value === null || hash(value),
      put: listOf(entry, LIMITS.manifest_entries),
      remove: listOf(key, LIMITS.manifest_entries),
    }),
    object_count: counter,
    deadline_ms: wait,
  }),
  objects: fields({
    deployment_id: id,
    objects: listOf(fields({ hash, json: text(LIMITS.object_bytes) }), OBJECTS_A_MESSAGE),
  }),
  commit: fields({ ...order, bundle_hash: hash }),
  abort: fields({ ...order, reason: text(LIMITS.message_chars) }),
  lift_hold: () => true,
  heartbeat_ack: () => true,
  key_offer: fields({ key_id: id, session_key: text(256) }),
  key_promoted: fields({ key_id: id }),
}

const GREETINGS: Readonly<Record<Greeting['type'], Check>> = {
  hello: fields({
    protocol: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    nonce: text(64),
    server_time: text(64),
  }),
  retry_later: fields({ delay_ms: integer(0, 600_000) }),
}

/** Null for what is no message of the protocol. */
export const readMasterMessage = (json: string): MasterMessage | null => read<MasterMessage>(json, CHECKS)

/** The master's first frame; null for anything else. */
export const readGreeting = (json: string): Greeting | null => read<Greeting>(json, GREETINGS)

function read<T>(json: string, checks: Readonly<Record<string, Check>>): T | null {
  const value = parse(json)
  if (!isFields(value) || typeof value.type !== 'string' || !Object.hasOwn(checks, value.type)) return null
  return checks[value.type]?.(value) ? (value as T) : null
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return null
  }
}
