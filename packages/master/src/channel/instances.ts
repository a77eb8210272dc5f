import { CHANNEL_LIMITS } from './channel-limits.ts'

/**
 * Finds one identity on two machines. A restarted agent comes with a new instance and takes over; an instance that
 * was displaced by another one and comes back while that one is connected proves two that run at once.
 */
export interface Instances {
  /** Whether the challenger may take over from the incumbent. */
  mayDisplace(agent_id: string, incumbent: string, challenger: string): boolean
  displaced(agent_id: string, incumbent: string, challenger: string): void
}

/** `now_ms`: a clock that nobody sets. */
export function makeInstances(now_ms: () => number): Instances {
  const agents = new Map<string, Map<string, number>>()
  return {
    mayDisplace(agent_id, incumbent, challenger) {
      if (incumbent === challenger) return true
      const at_ms = agents.get(agent_id)?.get(challenger)
      return at_ms === undefined || now_ms() - at_ms > CHANNEL_LIMITS.displaced_keep_ms
    },
    displaced(agent_id, incumbent, challenger) {
      if (incumbent === challenger) return
      const instances = agents.get(agent_id) ?? new Map<string, number>()
      instances.delete(incumbent)
      instances.set(incumbent, now_ms())
      dropOldest(instances, CHANNEL_LIMITS.displaced_instances)
      agents.delete(agent_id)
      agents.set(agent_id, instances)
      dropOldest(agents, CHANNEL_LIMITS.displaced_agents)
    },
  }
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return
    map.delete(key)
  }
}
