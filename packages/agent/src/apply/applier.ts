import type { AgentFacts, AgentMessage, MasterMessageOf } from '@nxmesh/contract/channel/messages'
import { AGENT_LIMITS } from '../limits.ts'
import { agentFacts } from '../nginx/facts.ts'
import { NginxError } from '../nginx/installation.ts'
import type { Orders, Reports } from '../orders.ts'
import {
  compareOrders,
  isSameOrder,
  type Journal,
  type Order,
  orderOf,
  positionOf,
} from '../state/journal.ts'
import { StateError } from '../state/json-file.ts'
import { commit, drop, prepare } from './apply.ts'
import { withApplyLock } from './apply-lock.ts'
import { type ApplyContext, isUnderWay } from './context.ts'
import { recover } from './recover.ts'
import { makeRest } from './rest.ts'

type Task =
  | { readonly type: 'prepare'; readonly message: MasterMessageOf<'prepare'>; readonly stop: AbortController }
  | { readonly type: 'commit'; readonly message: MasterMessageOf<'commit'> }
  | { readonly type: 'abort'; readonly message: MasterMessageOf<'abort'> }
  | { readonly type: 'lift_hold' }
  | { readonly type: 'recover' }

export interface Applier extends Orders {
  /** Resolves when everything that was asked for so far has ended. */
  idle(): Promise<void>
  /** Stops looking for what others do. */
  end(): void
}

/** A `Reports` whose way to the master can be set later. */
export interface LateReports extends Reports {
  attach(reports: Reports): void
}

export function makeLateReports(): LateReports {
  let target: Reports | null = null
  return {
    attach(reports) {
      target = reports
    },
    send(message: AgentMessage) {
      target?.send(message)
    },
  }
}

/**
 * The agent's one queue: every cause of a change waits here, and one ends before the next begins. Begins by finishing what a
 * kill interrupted.
 */
export function makeApplier(ctx: ApplyContext, reports: LateReports): Applier {
  const queue: Task[] = []
  let running: Task | null = null
  let working: Promise<void> = Promise.resolve()

  const run = async () => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      running = task
      try {
        await withApplyLock(ctx.paths, () => perform(ctx, task))
      } catch (error) {
        ctx.log('error', 'an order failed', { order: task.type, error: String(error) })
        if (task.type === 'prepare' || task.type === 'commit') unable(ctx, task.message, reasonOf(error))
      }
      running = null
    }
    rest.soon()
  }
  const push = (task: Task) => {
    if (queue.length >= AGENT_LIMITS.orders_queued) {
      if ('message' in task) unable(ctx, task.message, 'too many orders are waiting')
      return
    }
    queue.push(task)
    if (running === null && queue.length === 1) working = run()
  }
  const stopPrepares = (isStopped: (order: Order) => boolean, reason: string) => {
    for (const task of [running, ...queue]) {
      if (task?.type === 'prepare' && isStopped(task.message)) task.stop.abort(reason)
    }
  }
  const rest = makeRest(ctx, () => running === null)
  push({ type: 'recover' })
  const hold_watch = watchHold(ctx)
  const told = makeFactsTeller(ctx)
  const facts_watch = setInterval(told.tellChanges, AGENT_LIMITS.facts_watch_ms)

  return {
    attach: reports.attach,
    prepare(message) {
      stopPrepares(
        order => compareOrders(order, message) < 0,
        `superseded by generation ${message.generation}`,
      )
      push({ type: 'prepare', message, stop: new AbortController() })
    },
    objects: message => ctx.inbox.take(message),
    commit: message => push({ type: 'commit', message }),
    abort(message) {
      stopPrepares(order => isSameOrder(order, message), 'aborted')
      push({ type: 'abort', message })
    },
    liftHold: () => push({ type: 'lift_hold' }),
    position: () => positionOf(ctx.journal.read()),
    facts: told.read,
    end() {
      clearInterval(hold_watch)
      clearInterval(facts_watch)
      rest.end()
    },
    idle: async () => {
      while (running !== null || queue.length > 0) await working
    },
  }
}

/** nginx is upgraded and nginx.conf edited while the agent runs; the master plans by what it was told. */
function makeFactsTeller(ctx: ApplyContext) {
  let told: string | null = null
  return {
    async read(): Promise<AgentFacts> {
      const facts = await ctx.facts.read()
      told = facts.key
      return agentFacts(facts)
    },
    /** Nothing before the first hello, which says everything. */
    async tellChanges(): Promise<void> {
      if (told === null) return
      try {
        const facts = await ctx.facts.read()
        if (facts.key === told) return
        told = facts.key
        ctx.log('info', 'what is known of nginx has changed', { version: facts.render.nginx_version })
        ctx.reports.send({ type: 'facts_changed', facts: agentFacts(facts) })
      } catch (error) {
        // In the middle of an upgrade there may be no nginx; what there is afterwards is told then.
        ctx.log('debug', 'nginx cannot be looked at', { error: String(error) })
      }
    },
  }
}

/**
 * A rollback by hand happens in another process; the master is told without waiting for the next heartbeat. It holds first and
 * serves later; on hold the agent itself applies nothing, so that what is served then changes by hand only.
 */
function watchHold(ctx: ApplyContext): ReturnType<typeof setInterval> {
  const byHand = ({ hold, serving }: Journal) => (hold === null ? '' : `${hold.since} ${serving?.folder}`)
  let known = byHand(ctx.journal.read())
  return setInterval(() => {
    const journal = ctx.journal.read()
    const now = byHand(journal)
    if (now === known) return
    known = now
    ctx.reports.send({ type: 'position_changed', position: positionOf(journal) })
  }, AGENT_LIMITS.hold_watch_ms)
}

async function perform(ctx: ApplyContext, task: Task): Promise<void> {
  switch (task.type) {
    case 'prepare':
      return await onPrepare(ctx, task.message, task.stop.signal)
    case 'commit':
      return await onCommit(ctx, task.message)
    case 'abort':
      return await onAbort(ctx, task.message)
    case 'lift_hold':
      ctx.journal.update({ hold: null })
      return ctx.reports.send({ type: 'position_changed', position: positionOf(ctx.journal.read()) })
    case 'recover':
      return await recover(ctx)
  }
}

/** Fencing: never below what was answered, the same again is answered again, a newer one replaces what is only prepared. */
async function onPrepare(
  ctx: ApplyContext,
  message: MasterMessageOf<'prepare'>,
  cancel: AbortSignal,
): Promise<void> {
  const { fence, pending, hold } = ctx.journal.read()
  if (compareOrders(message, fence) < 0) return unable(ctx, message, tooLow(message, fence))
  if (hold !== null) return unable(ctx, message, `on hold since ${hold.since}: ${hold.reason}`)
  if (answerAgain(ctx, message)) return
  if (cancel.aborted) return unable(ctx, message, String(cancel.reason))
  if (pending !== null) {
    ctx.journal.update({ pending: null })
    await drop(ctx, pending.folder)
  }
  await prepare(ctx, message, cancel)
}

function answerAgain(ctx: ApplyContext, message: MasterMessageOf<'prepare'>): boolean {
  const { pending, outcome, serving } = ctx.journal.read()
  const known = [pending, serving].find(one => one !== null && isSameOrder(one, message)) ?? null
  if (known !== null) {
    if (known.bundle_hash !== message.bundle_hash)
      unable(ctx, message, 'this order was prepared with another bundle')
    else {
      const { bundle_hash, tree_hash } = known
      ctx.reports.send({ type: 'prepared', ...orderOf(known), bundle_hash, tree_hash, timings_ms: {} })
    }
    return true
  }
  if (outcome === null || outcome.type === 'serving' || !isSameOrder(outcome, message)) return false
  ctx.reports.send(outcome)
  return true
}

async function onCommit(ctx: ApplyContext, message: MasterMessageOf<'commit'>): Promise<void> {
  const { pending, outcome, serving, hold } = ctx.journal.read()
  if (outcome !== null && isSameOrder(outcome, message)) {
    if (outcome.type === 'serving') ctx.reports.send({ type: 'loaded', ...orderOf(outcome), at: outcome.at })
    return ctx.reports.send(outcome)
  }
  if (hold !== null) return unable(ctx, message, `on hold since ${hold.since}: ${hold.reason}`)
  if (pending === null || !isSameOrder(pending, message)) {
    const served = serving === null ? 'nothing' : `generation ${serving.generation}`
    return unable(ctx, message, `this order is not prepared here; ${served} is served`)
  }
  if (pending.bundle_hash !== message.bundle_hash)
    return unable(ctx, message, 'another bundle was prepared under this order')
  await commit(ctx, pending)
}

async function onAbort(ctx: ApplyContext, message: MasterMessageOf<'abort'>): Promise<void> {
  const { pending } = ctx.journal.read()
  if (pending === null || !isSameOrder(pending, message) || isUnderWay(ctx, pending)) return
  ctx.journal.update({ pending: null })
  await drop(ctx, pending.folder)
}

function unable(ctx: ApplyContext, order: Order, message: string): void {
  ctx.reports.send({ type: 'unable', ...orderOf(order), message })
}

function tooLow(order: Order, fence: { epoch: number; generation: number }): string {
  const name = (one: { epoch: number; generation: number }) =>
    `generation ${one.generation} of epoch ${one.epoch}`
  return `${name(order)} is older than ${name(fence)}, which was answered before`
}

function reasonOf(error: unknown): string {
  return error instanceof NginxError || error instanceof StateError
    ? error.message
    : 'the agent failed, see its log'
}
