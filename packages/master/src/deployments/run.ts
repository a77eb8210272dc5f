import type {
  ConfigError,
  Deployment,
  DeploymentState,
  DeploymentTarget,
  Principal,
  TargetState,
} from '@nxmesh/contract'
import { DEPLOYMENT_STEPS, isOpen, TARGET_STEPS } from './deployment-rules.ts'
import type { Bundle } from './planner.ts'
import type { ItemChange } from './release-store.ts'
import type { Snapshot } from './snapshot.ts'

type Steps = { -readonly [K in keyof DeploymentTarget['steps']]: string | null }

/** One agent's part of a deployment that runs. */
export interface RunTarget {
  readonly agent_id: string
  readonly agent_name: string
  state: TargetState
  /** Null after a restart of the master: then only the hash is known. */
  readonly bundle: Bundle | null
  readonly bundle_hash: string
  tree_hash: string | null
  error: ConfigError | null
  swapped_back: boolean
  timings_ms: Record<string, number>
  readonly steps: Steps
  /** It had refused or failed what is deployed already, before this deployment began. */
  readonly troubled: boolean
}

export type Trigger = Deployment['trigger']

/** A deployment that runs: the truth while it does; the database follows through the recorder. */
export interface Run {
  readonly id: string
  readonly workspace_id: string
  readonly release_id: string
  readonly release_number: number
  readonly trigger: Trigger
  readonly created_by: Principal
  readonly created_at: string
  state: DeploymentState
  reason: string | null
  epoch: number
  generation: number
  started_at: string | null
  decided_at: string | null
  finished_at: string | null
  followed_by: string | null
  /** Null after a restart of the master. */
  snapshot: Snapshot | null
  /** What the release has otherwise than the last decided one. */
  news: readonly ItemChange[]
  /** Agents that serve already what this release wants of them, by bundle hash. */
  readonly in_place: Map<string, string>
  readonly targets: Map<string, RunTarget>
  /** The longest that an agent was given to prepare; 0: nobody was asked yet. */
  prepare_deadline_ms: number
  /** Agents that were online when phase one began. */
  asked: number
  /** The first refusal that stops the deployment. */
  stopped_by: RunTarget | null
  readonly counts: Map<TargetState, number>
  /** Its workspace was deleted: nothing of it is written any more. */
  discarded: boolean
  /** Called when nothing is open any more, or the deployment is stopped. */
  onSettled: (() => void) | null
}

/** What a deployment is from its first moment on. */
export type RunOrigin = Pick<
  Run,
  | 'id'
  | 'workspace_id'
  | 'release_id'
  | 'release_number'
  | 'trigger'
  | 'created_by'
  | 'created_at'
  | 'epoch'
  | 'generation'
>

/** A deployment of which nothing has happened yet. */
export function newRun(row: RunOrigin): Run {
  return {
    ...row,
    state: 'queued',
    reason: null,
    started_at: null,
    decided_at: null,
    finished_at: null,
    followed_by: null,
    snapshot: null,
    news: [],
    in_place: new Map(),
    targets: new Map(),
    prepare_deadline_ms: 0,
    asked: 0,
    stopped_by: null,
    counts: new Map(),
    discarded: false,
    onSettled: null,
  }
}

export function newTarget(agent: { id: string; name: string }, bundle: Bundle, troubled: boolean): RunTarget {
  return {
    agent_id: agent.id,
    agent_name: agent.name,
    state: 'pending',
    bundle,
    bundle_hash: bundle.hash,
    tree_hash: null,
    error: null,
    swapped_back: false,
    timings_ms: {},
    steps: noSteps(),
    troubled,
  }
}

const noSteps = (): Steps => ({
  desired_at: null,
  delivered_at: null,
  prepared_at: null,
  committed_at: null,
  loaded_at: null,
  serving_at: null,
  failed_at: null,
})

export function addTarget(run: Run, target: RunTarget): void {
  run.targets.set(target.agent_id, target)
  run.counts.set(target.state, count(run, target.state) + 1)
}

export const count = (run: Run, state: TargetState): number => run.counts.get(state) ?? 0

/** The step at which a state is proved. */
const STEP_OF: Partial<Record<TargetState, keyof Steps>> = {
  delivered: 'delivered_at',
  prepared: 'prepared_at',
  committed: 'committed_at',
  loaded: 'loaded_at',
  serving: 'serving_at',
  failed: 'failed_at',
}

/** Moves a target, if the table of steps allows it; false when not (a late or repeated report). */
export function moveTarget(run: Run, target: RunTarget, to: TargetState, at: string): boolean {
  if (!TARGET_STEPS[target.state].includes(to)) return false
  run.counts.set(target.state, count(run, target.state) - 1)
  run.counts.set(to, count(run, to) + 1)
  target.state = to
  const step = STEP_OF[to]
  if (step) target.steps[step] ??= at
  settle(run)
  return true
}

/** Moves the deployment itself. Throws on a step that the table does not have: a defect. */
export function moveRun(run: Run, to: DeploymentState): void {
  if (!DEPLOYMENT_STEPS[run.state].includes(to))
    throw new Error(`Deployment ${run.id} cannot go from ${run.state} to ${to}`)
  run.state = to
}

function isSettled(run: Run): boolean {
  if (run.stopped_by || run.discarded) return true
  if ([...run.counts].some(([state, number]) => number > 0 && isOpen(run.state, state))) return false
  // Whoever was asked may come back within the time: without a single answer nothing is proved.
  return !(run.state === 'preparing' && run.asked > 0 && answered(run) === 0)
}

const answered = (run: Run) =>
  count(run, 'prepared') + count(run, 'rejected') + count(run, 'unable') + count(run, 'superseded')

export function settle(run: Run): void {
  if (run.onSettled && isSettled(run)) run.onSettled()
}

/** Resolves when nothing is open any more, at the latest after `deadline_ms`. */
export function settled(run: Run, deadline_ms: number): Promise<void> {
  if (isSettled(run)) return Promise.resolve()
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      run.onSettled = null
      resolve()
    }
    const timer = setTimeout(done, deadline_ms)
    run.onSettled = done
  })
}

/** Targets in one of these states. */
export const targetsIn = (run: Run, ...states: readonly TargetState[]): RunTarget[] =>
  [...run.targets.values()].filter(target => states.includes(target.state))
