import { randomBytes } from 'node:crypto'
import type { Places } from '../access/access-service.ts'
import type { AgentKeys, KeyFound } from '../channel/agent-keys.ts'
import type { Database, Tx } from '../database/database.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { AGENT_AREA_LIMITS } from './agents-limits.ts'
import { agentById, endKeys, insertKey, keyById } from './agents-store.ts'

const SESSION_KEY_BYTES = 32
const identityOf = (key_id: string) => `agent_keys/${key_id}`

export interface IssuedKey {
  readonly key_id: string
  /** base64url; in the answer of the registration and nowhere else. */
  readonly session_key: string
}

/** The session keys: sealed in the database, opened for the channel, a bounded number of them in memory. */
export interface AgentKeyRing extends AgentKeys {
  /** A new primary key; the older ones of this agent end with the transaction. `forget` the agent after its commit. */
  issue(tx: Tx, agent_id: string): Promise<IssuedKey>
  /** What is remembered of an agent's keys is read again. */
  forget(agent_id: string): void
}

export interface KeyRingDeps {
  readonly db: Database
  readonly secrets: Secrets
  readonly places: Pick<Places, 'placeOf'>
  readonly now: () => Date
  readonly newId: () => string
}

export function makeAgentKeys(deps: KeyRingDeps): AgentKeyRing {
  const { db, secrets, places, now, newId } = deps
  // By agent, since that is how keys end. Only live ones: a stranger cannot fill it.
  const cache = new Map<string, { key_id: string; found: KeyFound }>()
  // Raised by every forget: what was read before it is not remembered after it.
  let forgets = 0

  const load = async (agent_id: string, key_id: string): Promise<KeyFound> => {
    const [agent, key] = await Promise.all([agentById(db.read, agent_id), keyById(db.read, key_id)])
    // The agents of a workspace that was deleted have rows for a while.
    if (!agent || !(await places.placeOf(agent.workspace_id))) return { state: 'unknown_agent' }
    const { workspace_id } = agent
    if (key?.agent_id !== agent_id || key.status === 'ended') return { state: 'key_not_live', workspace_id }
    return { state: 'live', session_key: secrets.open(key.sealed_key, identityOf(key.id)), workspace_id }
  }

  return {
    async find(agent_id, key_id) {
      const known = cache.get(agent_id)
      if (known?.key_id === key_id) return known.found
      const before = forgets
      const found = await load(agent_id, key_id)
      if (found.state !== 'live' || forgets !== before) return found
      cache.delete(agent_id)
      cache.set(agent_id, { key_id, found })
      const oldest =
        cache.size > AGENT_AREA_LIMITS.session_keys_cached ? cache.keys().next().value : undefined
      if (oldest !== undefined) cache.delete(oldest)
      return found
    },

    async issue(tx, agent_id) {
      const id = newId()
      const session_key = randomBytes(SESSION_KEY_BYTES)
      const at = now().toISOString()
      await endKeys(tx, agent_id, at)
      await insertKey(tx, {
        id,
        agent_id,
        sealed_key: secrets.seal(session_key, identityOf(id)),
        status: 'primary',
        created_at: at,
        ended_at: null,
      })
      return { key_id: id, session_key: session_key.toString('base64url') }
    },

    forget(agent_id) {
      forgets += 1
      cache.delete(agent_id)
    },
  }
}
