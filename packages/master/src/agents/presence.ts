import type { AgentFacts } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { ChannelListener } from '../channel/channel.ts'
import type { Database } from '../database/database.ts'
import { AGENT_AREA_LIMITS } from './agents-limits.ts'
import type { Presence } from './agents-rules.ts'
import { type AgentRow, agentById, markSeen, updateAgent } from './agents-store.ts'
import type { AgentChanged, Directory } from './directory.ts'

export interface PresenceDeps {
  readonly db: Database
  readonly directory: Directory
  readonly isOnline: (agent_id: string) => boolean
  /** Told of each agent that came or went. */
  readonly changed?: AgentChanged
  readonly log: Pick<Logger, 'error'>
  readonly now: () => Date
  readonly last_seen_every_ms?: number
}

/** When agents were seen, and what they said of their hosts. */
export interface PresenceKeeper {
  readonly listener: ChannelListener
  presenceOf(agent_id: string): Presence
  forget(agent_id: string): void
  /** Writes what is not written yet. */
  stop(): Promise<void>
}

/**
 * Times of last contact live in memory and reach the database together, at most every 10 s: thousands of heartbeats must
 * not become thousands of transactions.
 */
export function makePresence(deps: PresenceDeps): PresenceKeeper {
  const { db, now } = deps
  const seen = new Map<string, string>()
  const unwritten = new Map<string, string>()
  let writing: Promise<void> = Promise.resolve()

  const saw = (agent_id: string) => {
    const at = now().toISOString()
    seen.set(agent_id, at)
    unwritten.set(agent_id, at)
  }
  const flush = () => {
    const batch = [...unwritten]
    unwritten.clear()
    writing = writing
      .then(() => writeSeen(db, batch))
      .catch((err: unknown) => {
        for (const [id, at] of batch) if (seen.has(id) && !unwritten.has(id)) unwritten.set(id, at)
        deps.log.error({ err }, 'The times of last contact could not be written')
      })
    return writing
  }
  const flushing = setInterval(flush, deps.last_seen_every_ms ?? AGENT_AREA_LIMITS.last_seen_every_ms)

  return {
    listener: {
      async connected(agent_id, facts, _position, ip_address) {
        saw(agent_id)
        await learn(deps, agent_id, { facts, ip_address })
        deps.changed?.({ agent_id, workspace_id: null })
      },
      async message(agent_id, message) {
        saw(agent_id)
        if (message.type === 'facts_changed') await learn(deps, agent_id, { facts: message.facts })
      },
      async disconnected(agent_id) {
        deps.changed?.({ agent_id, workspace_id: null })
      },
    },
    presenceOf: agent_id => ({
      online: deps.isOnline(agent_id),
      last_seen_at: seen.get(agent_id) ?? null,
    }),
    forget(agent_id) {
      seen.delete(agent_id)
      unwritten.delete(agent_id)
    },
    async stop() {
      clearInterval(flushing)
      await flush()
    },
  }
}

type Sighting = readonly [agent_id: string, at: string]

async function writeSeen(db: Database, batch: readonly Sighting[]): Promise<void> {
  const step = AGENT_AREA_LIMITS.last_seen_rows_a_write
  for (let from = 0; from < batch.length; from += step) {
    // To the second, cut off: few statements, and no agent was seen later than it was.
    const by_second = Map.groupBy(batch.slice(from, from + step), ([, at]) => at.slice(0, 19))
    await db.write(async tx => {
      for (const [second, sightings] of by_second)
        await markSeen(
          tx,
          sightings.map(([id]) => id),
          `${second}.000Z`,
        )
    })
  }
}

/** Keeps what an agent says of itself; writes nothing when it says what is known. */
async function learn(
  deps: PresenceDeps,
  agent_id: string,
  said: { facts: AgentFacts; ip_address?: string },
): Promise<void> {
  const { db, directory } = deps
  const known = await agentById(db.read, agent_id)
  if (!known) return
  const change = {
    hostname: said.facts.hostname,
    version: said.facts.agent_version,
    deployment_mode: said.facts.deployment_mode,
    ip_address: said.ip_address ?? known.ip_address,
    facts_json: JSON.stringify(said.facts),
    state: 'known',
  }
  if (Object.entries(change).every(([key, value]) => known[key as keyof AgentRow] === value)) return
  const row = await db.write(async tx => {
    await updateAgent(tx, agent_id, change)
    return await agentById(tx, agent_id)
  })
  if (row) directory.put(row)
}
