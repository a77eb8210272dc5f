import type { Logger } from 'pino'
import type { Database } from '../database/database.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import { type AgentKeyRow, agedKeys, anyOver, sweepKeys } from './agent-keys-store.ts'
import { AGENT_AREA_LIMITS } from './agents-limits.ts'
import type { KeyRotation } from './key-rotation.ts'

export interface KeySweepDeps {
  readonly db: Database
  readonly keys: AgentKeyRing
  readonly rotation: Pick<KeyRotation, 'canOffer' | 'offer'>
  readonly log: Pick<Logger, 'error'>
  readonly now: () => Date
  /** Keys older than this are replaced. */
  readonly max_age_ms: number
}

export interface KeySweep {
  /** One sweep; runs by itself between `start` and `stop`. */
  sweep(): Promise<void>
  start(): void
  stop(): Promise<void>
}

/** Replaces aged keys, a bounded number of agents at a time, and ends what is past its time. */
export function makeKeySweep(deps: KeySweepDeps): KeySweep {
  const { db, keys, rotation, now } = deps
  // How far the aged keys were looked at; agents that are away are passed over, not waited for.
  let behind: { created_at: string; id: string } | null = null
  let resting_until_ms = 0
  let over_looked_ms = Number.NEGATIVE_INFINITY

  const nextPage = async () => {
    const made_before = new Date(now().getTime() - deps.max_age_ms).toISOString()
    const page = await agedKeys(db.read, made_before, behind, AGENT_AREA_LIMITS.aged_keys_a_page)
    // The end was reached; where nothing was found, to look again in a second costs nothing.
    if (page.length < AGENT_AREA_LIMITS.aged_keys_a_page && (behind !== null || page.length > 0))
      resting_until_ms = performance.now() + AGENT_AREA_LIMITS.aged_keys_rest_ms
    return page
  }

  /** Agents with an aged key that are connected, at most so many. */
  const due = async (): Promise<string[]> => {
    const found: string[] = []
    for (let pages = 0; pages < AGENT_AREA_LIMITS.aged_key_pages_a_sweep; pages++) {
      if (performance.now() < resting_until_ms) break
      const page = await nextPage()
      for (const key of page) {
        behind = key
        if (rotation.canOffer(key.agent_id)) found.push(key.agent_id)
        if (found.length < AGENT_AREA_LIMITS.key_offers_a_sweep) continue
        resting_until_ms = 0
        return found
      }
      if (page.length >= AGENT_AREA_LIMITS.aged_keys_a_page) continue
      behind = null
      break
    }
    return found
  }

  const offerNewKeys = async () => {
    const agent_ids = await due()
    if (agent_ids.length === 0) return
    const made: [string, AgentKeyRow][] = []
    await db.write(async tx => {
      made.length = 0
      for (const agent_id of agent_ids) {
        const candidate = await keys.candidate(tx, agent_id)
        if (candidate) made.push([agent_id, candidate])
      }
    })
    for (const [agent_id, candidate] of made) await rotation.offer(agent_id, candidate)
  }

  const endWhatIsOver = async () => {
    if (performance.now() - over_looked_ms < AGENT_AREA_LIMITS.keys_over_every_ms) return
    over_looked_ms = performance.now()
    const at = now().toISOString()
    const ended_before = new Date(now().getTime() - AGENT_AREA_LIMITS.key_ended_keep_ms).toISOString()
    if (await anyOver(db.read, at, ended_before)) await db.write(tx => sweepKeys(tx, at, ended_before))
  }

  let running: Promise<void> | null = null
  let timer: ReturnType<typeof setInterval> | undefined
  const sweep = async () => {
    await offerNewKeys()
    await endWhatIsOver()
  }
  return {
    sweep,
    start() {
      timer = setInterval(() => {
        running ??= sweep()
          .catch((err: unknown) => deps.log.error({ err }, 'Session keys could not be swept'))
          .finally(() => {
            running = null
          })
      }, AGENT_AREA_LIMITS.key_sweep_ms)
    },
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
