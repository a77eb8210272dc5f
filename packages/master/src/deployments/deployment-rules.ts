import { type DeploymentState, LIMITS, type TargetState } from '@nxmesh/contract'

/** From which state a deployment may go to which. What is not here cannot happen. */
export const DEPLOYMENT_STEPS: Readonly<Record<DeploymentState, readonly DeploymentState[]>> = {
  queued: ['preparing', 'superseded', 'aborted'],
  preparing: ['committing', 'rejected', 'aborted', 'superseded'],
  committing: ['applied', 'failed'],
  applied: [],
  rejected: [],
  failed: [],
  aborted: [],
  superseded: [],
}

/**
 * From which state a target may go to which. `offline`, `unable` and `unknown` are left again when the agent returns: it
 * proves that it serves this very bundle, or a later deployment reaches it.
 */
export const TARGET_STEPS: Readonly<Record<TargetState, readonly TargetState[]>> = {
  pending: ['delivered', 'offline', 'unable', 'superseded'],
  delivered: ['delivered', 'prepared', 'rejected', 'unable', 'offline', 'superseded'],
  offline: ['delivered', 'serving', 'superseded'],
  prepared: ['committed', 'unable', 'superseded'],
  rejected: [],
  unable: ['serving', 'superseded'],
  committed: ['loaded', 'serving', 'failed', 'unable', 'unknown'],
  loaded: ['serving', 'failed', 'unknown'],
  serving: [],
  failed: ['superseded'],
  unknown: ['loaded', 'serving', 'failed', 'superseded'],
  superseded: [],
}

/** What a phase still waits for. */
const OPEN: Partial<Record<DeploymentState, ReadonlySet<TargetState>>> = {
  preparing: new Set(['pending', 'delivered']),
  committing: new Set(['committed', 'loaded']),
}

export const isOpen = (phase: DeploymentState, target: TargetState): boolean =>
  OPEN[phase]?.has(target) ?? false

export type Outcome = 'commit' | 'reject' | 'abort'

/**
 * What phase one came to. Only a `no` of nginx stops a deployment. Agents that are away or unable catch up later, but where
 * agents were there to ask and none could answer, nothing was proved and nothing is decided.
 */
export function outcomeOf(count: (state: TargetState) => number, asked: number, stopped: boolean): Outcome {
  if (stopped) return 'reject'
  if (asked > 0 && count('prepared') === 0) return 'abort'
  return 'commit'
}

/** How a decided deployment ends, and the reason for people. Silence is never health. */
export function endOf(count: (state: TargetState) => number): {
  state: 'applied' | 'failed'
  reason: string | null
} {
  const parts: string[] = []
  const say = (state: TargetState, text: string) => {
    const number = count(state)
    if (number > 0) parts.push(`${number} ${number === 1 ? 'agent' : 'agents'} ${text}`)
  }
  say('failed', 'could not load it and went back to what was served before')
  say('unknown', 'did not report in time: whether it is served there is unknown')
  say('rejected', 'refused it, as they refuse what is deployed already')
  say('unable', 'could not take it now; it is tried again')
  say('offline', 'will get it on returning')
  const bad = count('failed') + count('unknown') + count('rejected') > 0
  return { state: bad ? 'failed' : 'applied', reason: parts.length > 0 ? `${parts.join('; ')}.` : null }
}

/** How long an agent may take to prepare when `objects` must be sent to it: a slow disk writes each of thousands. */
export const prepareDeadline_ms = (base_ms: number, objects: number): number =>
  Math.min(
    base_ms + objects * LIMITS.prepare_deadline_object_ms,
    Math.max(base_ms, LIMITS.prepare_deadline_max_ms),
  )

/** Full jitter: anything up to the bound, which doubles with each attempt. `random` is in [0, 1). */
export function backoff_ms(attempt: number, min_ms: number, max_ms: number, random: number): number {
  const bound_ms = Math.min(max_ms, min_ms * 2 ** Math.min(attempt, 30))
  return Math.ceil(min_ms / 2 + random * bound_ms)
}
