import type { AgentMessageOf, MasterMessageOf } from '@nxmesh/contract/channel/messages'
import type { ConfigError } from '@nxmesh/contract/entities/deployment'
import { faultPoint } from '../faults.ts'
import { errorCode, readLink, removeTree } from '../host/files.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { NginxError } from '../nginx/installation.ts'
import { findMaster } from '../nginx/master-process.ts'
import { testFolder } from '../nginx/test-config.ts'
import { type Deployed, type Journal, type Order, orderOf, type Pending } from '../state/journal.ts'
import { readRecord, removeRecord } from '../state/records.ts'
import { cleanUp, keptFolders } from './clean-up.ts'
import { makeCurrent } from './commit.ts'
import {
  type ApplyContext,
  currentLink,
  folderPath,
  isUnderWay,
  Rejection,
  StepClock,
  Unable,
  Unanswered,
} from './context.ts'
import { receive } from './receive.ts'
import { type Rendered, render } from './render.ts'
import { store } from './store.ts'
import { validate } from './validate.ts'

/*
 * The pipeline: receive → render → validate (phase one, nothing live is touched), then swap → reload → verify → report →
 * clean up (phase two). What a kill could leave half done is told by the journal, and the swap by the link itself.
 */

/** Phase one. Answers the master itself; afterwards the journal holds what was prepared, or nothing. */
export async function prepare(
  ctx: ApplyContext,
  message: MasterMessageOf<'prepare'>,
  cancel: AbortSignal,
): Promise<void> {
  const order = orderOf(message)
  const clock = new StepClock()
  const waiting = { deadline: performance.now() + message.deadline_ms, cancel }
  let rendered: Rendered | null = null
  try {
    const master = findMaster(ctx.installation, ctx.adoption.status_port)
    if (master === null) throw new Unable('nginx is not running')
    const facts = await ctx.facts.read()
    const received = await receive(ctx, message, facts.key, waiting)
    clock.lap('receive')
    const about = { bundle_hash: message.bundle_hash, facts_key: facts.key }
    const made = await render(ctx, order, received, facts.render, about)
    rendered = made
    clock.lap('render')
    const stored = store(ctx, made).then(() => rememberPrepared(ctx, order, made))
    await bothEnded(validate(ctx, made, master, waiting), stored)
    clock.lap('validate')
    if (cancel.aborted) throw new Unable(String(cancel.reason))
    ctx.tested = made.apply_id
    faultPoint('prepared')
    ctx.reports.send(preparedMessage(order, rendered, clock.timings_ms))
  } catch (error) {
    if (rendered !== null) await drop(ctx, rendered.record.folder)
    answerNo(ctx, order, error, clock)
  }
}

/** Neither the test nor the disk may still run when the folder is dropped; the judgement on the configuration counts more than the disk's. */
async function bothEnded(judged: Promise<void>, stored: Promise<void>): Promise<void> {
  const results = await Promise.allSettled([judged, stored])
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

/** Beside `nginx -t`, like the files: it counts only together with `tested`, which says that the test has passed. */
function rememberPrepared(ctx: ApplyContext, order: Order, rendered: Rendered): void {
  const { folder, bundle_hash } = rendered.record
  const { apply_id, tree_hash } = rendered
  const previous = readLink(currentLink(ctx))
  const pending: Pending = { ...order, phase: 'prepared', folder, apply_id, bundle_hash, tree_hash, previous }
  ctx.journal.update({ fence: { epoch: order.epoch, generation: order.generation }, pending, outcome: null })
}

function preparedMessage(
  order: Order,
  { record, tree_hash }: Rendered,
  timings_ms: Record<string, number>,
): AgentMessageOf<'prepared'> {
  return { type: 'prepared', ...order, bundle_hash: record.bundle_hash, tree_hash, timings_ms }
}

function answerNo(ctx: ApplyContext, order: Order, error: unknown, clock: StepClock): void {
  if (error instanceof Unanswered) return
  if (error instanceof Rejection) {
    const outcome = { type: 'rejected', ...order, error: error.error, timings_ms: clock.timings_ms } as const
    remember(ctx, { outcome, pending: null, fence: { epoch: order.epoch, generation: order.generation } })
    ctx.reports.send(outcome)
    return
  }
  if (ctx.journal.read().pending !== null) remember(ctx, { pending: null })
  ctx.log('warn', 'cannot prepare', { ...order, error: String(error) })
  ctx.reports.send({ type: 'unable', ...order, message: unableMessage(error) })
}

/** A disk that takes nothing any more must not keep the answer back. */
function remember(ctx: ApplyContext, change: Partial<Journal>): void {
  try {
    ctx.journal.update(change)
  } catch (error) {
    ctx.log('error', 'the journal cannot be written', { error: String(error) })
  }
}

function unableMessage(error: unknown): string {
  if (error instanceof Unable || error instanceof NginxError) return error.message
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'the disk is full'
  if (code === 'EROFS') return 'the disk is read-only'
  return code === null ? `the agent failed: ${String(error).slice(0, 500)}` : `the disk refuses: ${code}`
}

/** Forgets a folder that never became current. */
export async function drop(ctx: ApplyContext, folder: string): Promise<void> {
  if (readLink(currentLink(ctx)) === folder) return
  await removeTree(folderPath(ctx, folder)).catch(() => undefined)
  removeRecord(ctx.paths, folder)
  if (ctx.base !== null) ctx.staging.begin(ctx.base)
}

/** Phase two, also after a restart: finishes what was decided, or undoes it when it cannot be loaded. */
export async function commit(ctx: ApplyContext, prepared: Pending): Promise<void> {
  const clock = new StepClock()
  faultPoint('committing')
  if (!(await passesAgain(ctx, prepared))) return
  const onLoaded = () =>
    ctx.reports.send({ type: 'loaded', ...orderOf(prepared), at: ctx.now().toISOString() })
  const error = await makeCurrent(ctx, { folder: prepared.folder, onLoaded }, clock)
  faultPoint('report')
  if (error === null) reportServing(ctx, prepared, clock)
  else await undo(ctx, prepared, error, clock)
  faultPoint('clean_up')
  await cleanUp(ctx)
}

/** The journal tells what was prepared before a restart, not whether nginx had said yes to it; so it is asked once more. */
async function passesAgain(ctx: ApplyContext, prepared: Pending): Promise<boolean> {
  if (ctx.tested === prepared.apply_id || isUnderWay(ctx, prepared)) return true
  const path = folderPath(ctx, prepared.folder)
  const tested = await testFolder(ctx.installation, path, AGENT_LIMITS.nginx_test_max_ms)
  if (tested.result === 'passed') return true
  const message = tested.result === 'refused' ? tested.error.message : tested.message
  ctx.journal.update({ pending: null })
  await drop(ctx, prepared.folder)
  ctx.reports.send({ type: 'unable', ...orderOf(prepared), message: `no longer passes the test: ${message}` })
  return false
}

function reportServing(ctx: ApplyContext, prepared: Pending, clock: StepClock): void {
  const order = orderOf(prepared)
  const { tree_hash, bundle_hash, folder, apply_id } = prepared
  const { timings_ms } = clock
  const outcome = { type: 'serving', ...order, at: ctx.now().toISOString(), tree_hash, timings_ms } as const
  ctx.reports.send(outcome)
  const serving: Deployed = { ...order, folder, apply_id, bundle_hash, tree_hash }
  const folders = keptFolders(ctx.journal.read().folders, serving)
  ctx.journal.update({ serving, folders, pending: null, outcome })
  useAsBase(ctx, folder)
}

/** Puts the folder before back and has nginx serve it, then tells the master. */
export async function undo(
  ctx: ApplyContext,
  failed: Pending,
  error: ConfigError,
  clock: StepClock,
): Promise<void> {
  ctx.log('error', 'the deployment cannot be loaded, going back', {
    ...orderOf(failed),
    error: error.message,
  })
  ctx.journal.update({ pending: { ...failed, phase: 'swapping_back' } })
  faultPoint('swap_back')
  const { previous } = failed
  const problem = previous === null ? null : await makeCurrent(ctx, { folder: previous }, clock)
  const swapped_back = previous !== null && problem === null
  if (problem !== null) ctx.log('error', 'the folder before cannot be served', { error: problem.message })
  const { timings_ms } = clock
  const at = ctx.now().toISOString()
  const outcome = { type: 'failed', ...orderOf(failed), at, error, swapped_back, timings_ms } as const
  ctx.reports.send(outcome)
  ctx.journal.update({ pending: null, outcome })
}

/** From now on edits share this folder's files. */
export function useAsBase(ctx: ApplyContext, folder: string): void {
  ctx.base = readRecord(ctx.paths, folder)
  if (ctx.base !== null) ctx.staging.begin(ctx.base)
}
