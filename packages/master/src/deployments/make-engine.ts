import { LIMITS } from '@nxmesh/contract'
import { consider } from './catch-up.ts'
import { makeBundleCache } from './delivery.ts'
import type { DeliveryTimes, Engine, EngineDeps, Lane } from './engine.ts'
import { newLane } from './lanes.ts'
import { allPositions } from './position-store.ts'
import { makePositions } from './positions.ts'
import { pump } from './queue.ts'
import { makeRecorder } from './recorder.ts'
import { agentsLeftOpen } from './target-store.ts'

export const DELIVERY_TIMES: DeliveryTimes = {
  prepare_deadline_ms: LIMITS.prepare_deadline_ms,
  commit_deadline_ms: LIMITS.commit_deadline_ms,
  retry_min_ms: 1_000,
  retry_max_ms: 60_000,
}

/** Waits for the end of deployments; each is called once. */
export type Waiters = Map<string, Set<() => void>>

/** Knows nothing of the agents until `loadEngine`. */
export function makeEngine(deps: EngineDeps, times: DeliveryTimes, waiters: Waiters): Engine {
  const lanes = new Map<string, Lane>()
  const positions = makePositions()
  const isKept = (row: { agent_id: string }) => positions.has(row.agent_id)
  const engine: Engine = {
    deps,
    times,
    recorder: makeRecorder({
      db: deps.db,
      isKept,
      onError: error => deps.onError('writing deliveries', error),
      changed: deps.changed,
    }),
    positions,
    bundles: makeBundleCache(),
    active: new Map(),
    joined: new Set(),
    left_open: new Set(),
    stopped: false,
    lanes,
    lane(workspace_id) {
      const known = lanes.get(workspace_id)
      if (known) return known
      const lane = newLane(workspace_id)
      lanes.set(workspace_id, lane)
      return lane
    },
    ended(deployment_id) {
      const waiting = waiters.get(deployment_id)
      waiters.delete(deployment_id)
      for (const wake of waiting ?? []) wake()
    },
    pump: lane => pump(engine, lane),
    consider: (lane, agent_id, trigger) => consider(engine, lane, agent_id, trigger),
  }
  return engine
}

/** Reads where the agents are; nothing is sent. */
export async function loadEngine(engine: Engine): Promise<void> {
  const { db } = engine.deps
  // A killed master's last commit may still be under way at PostgreSQL: behind it in the line, all that is read later has it.
  await db.write(async () => {})
  const { read } = db
  engine.positions.load(await allPositions(read))
  for (const agent_id of await agentsLeftOpen(read)) engine.left_open.add(agent_id)
}
