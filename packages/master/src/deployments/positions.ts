import type { Agent, AgentPosition } from '@nxmesh/contract'
import type { PositionRow } from './position-store.ts'

/** What each agent shall serve and what it proved to serve: in memory, one row an agent, written through the recorder. */
export interface Positions {
  /** The row of an agent; a fresh one when it never had any. Changed in place: mark it afterwards. */
  of(agent_id: string): PositionRow
  has(agent_id: string): boolean
  load(rows: readonly PositionRow[]): void
  /** The bundles that agents serve. */
  served(): Set<string>
  forget(agent_id: string): void
}

export function makePositions(): Positions {
  const by_agent = new Map<string, PositionRow>()
  return {
    of(agent_id) {
      const known = by_agent.get(agent_id)
      if (known) return known
      const fresh = newPosition(agent_id)
      by_agent.set(agent_id, fresh)
      return fresh
    },
    has: agent_id => by_agent.has(agent_id),
    load(rows) {
      for (const row of rows) by_agent.set(row.agent_id, row)
    },
    served() {
      const hashes = new Set<string>()
      for (const row of by_agent.values())
        if (row.serving_bundle_hash !== null) hashes.add(row.serving_bundle_hash)
      return hashes
    },
    forget(agent_id) {
      by_agent.delete(agent_id)
    },
  }
}

const newPosition = (agent_id: string): PositionRow => ({
  agent_id,
  desired_deployment_id: null,
  desired_release_number: null,
  desired_epoch: 0,
  desired_generation: 0,
  desired_bundle_hash: null,
  serving_deployment_id: null,
  serving_release_number: null,
  serving_bundle_hash: null,
  serving_tree_hash: null,
  serving_since: null,
  epoch: 0,
  generation: 0,
  last_error: null,
  hold_since: null,
  hold_reason: null,
})

/** Takes over what an agent says of itself; true when it says something new. The release's number is found elsewhere. */
export function report(row: PositionRow, said: AgentPosition, at: string): boolean {
  const before = JSON.stringify(row)
  row.epoch = said.epoch
  row.generation = said.generation
  row.hold_since = said.hold?.since ?? null
  row.hold_reason = said.hold?.reason ?? null
  if (row.serving_deployment_id !== said.deployment_id || row.serving_bundle_hash !== said.bundle_hash) {
    row.serving_deployment_id = said.deployment_id
    row.serving_bundle_hash = said.bundle_hash
    row.serving_release_number = null
    row.serving_since = said.bundle_hash === null ? null : at
  }
  row.serving_tree_hash = said.tree_hash
  return JSON.stringify(row) !== before
}

export const isOnHold = (row: PositionRow): boolean => row.hold_since !== null

/** It serves what it shall serve. */
export const isInPlace = (row: PositionRow): boolean =>
  row.desired_bundle_hash !== null && row.desired_bundle_hash === row.serving_bundle_hash

export const configStateOf = (row: PositionRow): Agent['config'] => ({
  desired_release_number: row.desired_release_number,
  serving_release_number: row.serving_release_number,
  serving_deployment_id: row.serving_deployment_id,
  serving_since: row.serving_since,
  last_error: row.last_error,
  hold: row.hold_since === null ? null : { since: row.hold_since, reason: row.hold_reason ?? '' },
})
