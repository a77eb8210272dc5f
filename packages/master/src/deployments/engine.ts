import type { AgentFacts, Labels, Principal } from '@nxmesh/contract'
import type { Channel } from '../channel/channel.ts'
import type { VersionReader } from '../config/versions.ts'
import type { Database } from '../database/database.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import type { DeliveryChanges } from './changes.ts'
import type { BundleCache } from './delivery.ts'
import type { Positions } from './positions.ts'
import type { Recorder } from './recorder.ts'
import type { Run, Trigger } from './run.ts'
import type { Snapshot } from './snapshot.ts'

/** An agent as deliveries see it. `facts` is null until it has joined: then it gets nothing. */
export interface DeliveryAgent {
  readonly id: string
  readonly name: string
  readonly labels: Labels
  readonly facts: AgentFacts | null
}

/** What deployments need of the area of agents. */
export interface AgentDirectory {
  agentsOf(workspace_id: string): Promise<readonly DeliveryAgent[]>
  /** Null when there is no such agent. */
  workspaceOf(agent_id: string): Promise<string | null>
}

export interface DeliveryTimes {
  readonly prepare_deadline_ms: number
  readonly commit_deadline_ms: number
  readonly retry_min_ms: number
  readonly retry_max_ms: number
}

export interface EngineDeps {
  readonly db: Database
  readonly channel: Channel
  readonly versions: VersionReader
  readonly tenancy: Pick<Tenancy, 'lockWorkspace' | 'nextGeneration' | 'nextReleaseNumber'>
  readonly agents: AgentDirectory
  readonly now: () => Date
  readonly newId: () => string
  /** In [0, 1), for jitter. */
  readonly random: () => number
  readonly onError: (what: string, error: unknown) => void
  /** Told of deployments and of agents' positions that changed, once it is durable. */
  readonly changed?: DeliveryChanges
}

/** A release in memory. */
export interface Loaded {
  readonly release_id: string
  readonly number: number
  readonly snapshot: Snapshot
}

/** What an agent refused, or failed to load, though it was decided. In memory: after a restart everybody returns anyway. */
export interface Refusal {
  bundle_hash: string
  /** How often its return was taken for a reason to try again. */
  returns: number
  /** It may be tried once more. */
  allowed: boolean
  /** A timer runs that will allow it. */
  waiting: boolean
}

/** What runs in one workspace. */
export interface Lane {
  readonly workspace_id: string
  /** Its workspace was deleted: nothing begins in it any more. */
  closed: boolean
  /** The deployment of a change: one at a time. */
  running: Run | null
  pumping: boolean
  /** Something came while the queue was being looked at. */
  again: boolean
  /** The newest release whose delivery was decided, read once: see `decidedOf`. Null: not read yet. */
  decided: Promise<Loaded | null> | null
  /** The highest generation that was sent to agents; null until it is known. */
  highest_generation: number | null
  /** Consecutive deployments that nobody could prepare. */
  attempts: number
  retry: Timer | null
  /** Agents that wait for what they missed. */
  readonly waiting: Map<string, Trigger>
  catching: boolean
  /** By agent: the delivery of what it missed. */
  readonly catch_ups: Map<string, Run>
  /** Agents to look at again when the running deployment has ended. */
  readonly later: Set<string>
  /** How often an agent could not take what it should have, in a row. */
  readonly troubles: Map<string, number>
  /** By agent: what it refused though it was decided. */
  readonly refusals: Map<string, Refusal>
  finished: number
}

type Timer = ReturnType<typeof setTimeout>

/** The state of all deliveries, shared by the files of this area. */
export interface Engine {
  readonly deps: EngineDeps
  readonly times: DeliveryTimes
  readonly recorder: Recorder
  readonly positions: Positions
  readonly bundles: BundleCache
  /** By deployment. */
  readonly active: Map<string, { readonly run: Run; readonly lane: Lane }>
  /** Agents that connected since the start; the others have joined when their facts are known. */
  readonly joined: Set<string>
  /** Agents with a part of an ended deployment that is still open. */
  readonly left_open: Set<string>
  /** By workspace; `lane` makes one. */
  readonly lanes: Map<string, Lane>
  lane(workspace_id: string): Lane
  /** Wakes those who wait for the end of a deployment. */
  ended(deployment_id: string): void
  /** Starts what is queued in a workspace. */
  pump(lane: Lane): void
  /** Brings an agent what it lacks, if it lacks something. */
  consider(lane: Lane, agent_id: string, trigger: Trigger): void
  stopped: boolean
}

/** Nothing is begun any more. */
export const isOver = (engine: Engine, lane: Lane): boolean => engine.stopped || lane.closed

export const hasJoined = (engine: Engine, agent: DeliveryAgent): boolean =>
  agent.facts !== null || engine.joined.has(agent.id)

/** The master itself, where nobody asked for it. */
export const SYSTEM: Principal = { type: 'system', id: null }

export const stamp = (engine: Engine): string => engine.deps.now().toISOString()

/** A timer that does not keep the process alive. */
export function later(engine: Engine, delay_ms: number, work: () => void): Timer {
  const timer = setTimeout(() => {
    if (!engine.stopped) work()
  }, delay_ms)
  timer.unref()
  return timer
}
