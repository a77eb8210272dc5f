import { randomBytes } from 'node:crypto'
import type { Places } from '../access/access-service.ts'
import type { AgentKeys, KeyFound } from '../channel/agent-keys.ts'
import type { Database, Tx } from '../database/database.ts'
import { keepNewest } from '../keep-newest.ts'
import type { Secrets } from '../secrets/secrets.ts'
import {
  type AgentKeyRow,
  endKeys,
  endKeysOf,
  insertKey,
  keyById,
  liveKeysOf,
  updateKey,
} from './agent-keys-store.ts'
import { AGENT_AREA_LIMITS } from './agents-limits.ts'
import { keyIsLive } from './agents-rules.ts'
import { agentById } from './agents-store.ts'

const SESSION_KEY_BYTES = 32
const identityOf = (key_id: string) => `agent_keys/${key_id}`

export interface IssuedKey {
  readonly key_id: string
  /** base64url; in the answer of the registration and nowhere else. */
  readonly session_key: string
}

/** What `promote` did. `not_live`: there is no such candidate (any more). */
export type Promotion =
  | { readonly outcome: 'promoted'; readonly previous_key_id: string | null; readonly ends_at: string }
  | { readonly outcome: 'primary_already' | 'not_live' }

/** The session keys: sealed in the database, opened for the channel, a bounded number of them in memory. */
export interface AgentKeyRing extends AgentKeys {
  /** A new primary key; the older ones of this agent end with the transaction. `forget` the agent after its commit. */
  issue(tx: Tx, agent_id: string): Promise<IssuedKey>
  /** The candidate that waits, or a new one. Null when the agent has no primary key that it could replace. */
  candidate(tx: Tx, agent_id: string): Promise<AgentKeyRow | null>
  /** The candidate becomes the primary key, the old one ends after the grace. `forget` the agent after the commit. */
  promote(tx: Tx, agent_id: string, key_id: string): Promise<Promotion>
  /** All keys of the agent end. `forget` the agent after the commit. */
  endAll(tx: Tx, agent_id: string): Promise<void>
  /** The key itself, of a row whose key has not ended. */
  open(row: Pick<AgentKeyRow, 'id' | 'sealed_key'>): Promise<Uint8Array>
  /** What is remembered of an agent's keys is read again. */
  forget(agent_id: string): void
}

export interface KeyRingDeps {
  readonly db: Database
  readonly secrets: Secrets
  readonly places: Pick<Places, 'placeOf'>
  readonly now: () => Date
  readonly newId: () => string
  /** For how long an old key works beside the new one. */
  readonly grace_ms: number
}

export function makeAgentKeys(deps: KeyRingDeps): AgentKeyRing {
  const { db, secrets, places, now, newId } = deps
  // By agent, since that is how keys end. Only live ones: a stranger cannot fill it.
  const cache = new Map<string, { row: AgentKeyRow; found: KeyFound }>()
  // Raised by every forget: what was read before it is not remembered after it.
  let forgets = 0

  const open = (row: Pick<AgentKeyRow, 'id' | 'sealed_key'>) =>
    secrets.open(row.sealed_key, identityOf(row.id), { purpose: 'agent_connection' })
  const after = (ms: number) => new Date(now().getTime() + ms).toISOString()
  const make = async (tx: Tx, agent_id: string, kind: Pick<AgentKeyRow, 'status' | 'ends_at'>) => {
    const id = newId()
    const key = randomBytes(SESSION_KEY_BYTES)
    const sealed_key = secrets.seal(key, identityOf(id))
    const row = { id, agent_id, sealed_key, ...kind, created_at: now().toISOString(), ended_at: null }
    await insertKey(tx, row)
    return { row, key }
  }
  const remember = (agent_id: string, row: AgentKeyRow, found: KeyFound) =>
    keepNewest(cache, agent_id, { row, found }, AGENT_AREA_LIMITS.session_keys_cached)

  return {
    open,

    async find(agent_id, key_id) {
      const known = cache.get(agent_id)
      if (known?.row.id === key_id && keyIsLive(known.row, now())) return known.found
      const before = forgets
      const [agent, key] = await Promise.all([agentById(db.read, agent_id), keyById(db.read, key_id)])
      // The agents of a workspace that was deleted have rows for a while.
      if (!agent || !(await places.placeOf(agent.workspace_id))) return { state: 'unknown_agent' }
      const { workspace_id } = agent
      if (key?.agent_id !== agent_id || !keyIsLive(key, now())) return { state: 'key_not_live', workspace_id }
      const found: KeyFound = { state: 'live', session_key: await open(key), workspace_id }
      if (forgets === before) remember(agent_id, key, found)
      return found
    },

    async issue(tx, agent_id) {
      await endKeys(tx, agent_id, now().toISOString())
      const { row, key } = await make(tx, agent_id, { status: 'primary', ends_at: null })
      return { key_id: row.id, session_key: key.toString('base64url') }
    },

    async candidate(tx, agent_id) {
      const live = await liveKeysOf(tx, agent_id)
      if (!live.some(one => one.status === 'primary')) return null
      const present = live.find(one => one.status === 'candidate')
      if (present && keyIsLive(present, now())) return present
      await endKeysOf(tx, agent_id, 'candidate', now().toISOString())
      const ends_at = after(AGENT_AREA_LIMITS.key_candidate_ms)
      return (await make(tx, agent_id, { status: 'candidate', ends_at })).row
    },

    async promote(tx, agent_id, key_id) {
      const live = await liveKeysOf(tx, agent_id)
      const key = live.find(one => one.id === key_id)
      if (!key || !keyIsLive(key, now()) || key.status === 'secondary') return { outcome: 'not_live' }
      if (key.status === 'primary') return { outcome: 'primary_already' }
      const previous = live.find(one => one.status === 'primary')
      const ends_at = after(deps.grace_ms)
      // In this order: the database lets an agent have one primary key.
      await endKeysOf(tx, agent_id, 'secondary', now().toISOString())
      if (previous) await updateKey(tx, previous.id, { status: 'secondary', ends_at })
      await updateKey(tx, key_id, { status: 'primary', ends_at: null })
      return { outcome: 'promoted', previous_key_id: previous?.id ?? null, ends_at }
    },

    endAll: (tx, agent_id) => endKeys(tx, agent_id, now().toISOString()),

    forget(agent_id) {
      forgets += 1
      cache.delete(agent_id)
    },
  }
}
