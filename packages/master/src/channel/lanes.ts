import { CHANNEL_LIMITS } from './channel-limits.ts'

/** One queue for each agent: its tasks run strictly one after the other, those of different agents beside each other. */
export interface Lanes {
  /** False when the agent's queue is full; nothing was queued then. `bytes`: what the task holds in memory. */
  run(agent_id: string, bytes: number, task: () => Promise<void>): boolean
  /** Past the bounds, for what must not get lost (the end of a connection). */
  always(agent_id: string, task: () => Promise<void>): void
  /** Resolves when all that was queued before the call has run. */
  idle(): Promise<void>
}

interface Lane {
  tail: Promise<void>
  messages: number
  bytes: number
}

/** `failed` gets what a task threw; the next one runs all the same. */
export function makeLanes(failed: (agent_id: string, error: unknown) => void): Lanes {
  const lanes = new Map<string, Lane>()

  const push = (agent_id: string, lane: Lane, bytes: number, task: () => Promise<void>) => {
    lanes.set(agent_id, lane)
    lane.messages += 1
    lane.bytes += bytes
    lane.tail = lane.tail
      .then(task)
      .catch((error: unknown) => failed(agent_id, error))
      .finally(() => {
        lane.messages -= 1
        lane.bytes -= bytes
        if (lane.messages === 0) lanes.delete(agent_id)
      })
  }
  const laneOf = (agent_id: string): Lane =>
    lanes.get(agent_id) ?? { tail: Promise.resolve(), messages: 0, bytes: 0 }

  return {
    run(agent_id, bytes, task) {
      const lane = laneOf(agent_id)
      if (lane.messages >= CHANNEL_LIMITS.inbox_messages || lane.bytes + bytes > CHANNEL_LIMITS.inbox_bytes)
        return false
      push(agent_id, lane, bytes, task)
      return true
    },
    always: (agent_id, task) => push(agent_id, laneOf(agent_id), 0, task),
    idle: async () => {
      await Promise.all([...lanes.values()].map(lane => lane.tail))
    },
  }
}
