import type { Pending } from '../state/journal.ts'
import { commit, drop, undo, useAsBase } from './apply.ts'
import { cleanUp, removeLeftovers } from './clean-up.ts'
import { applyIdOf } from './commit.ts'
import { type ApplyContext, isUnderWay, StepClock } from './context.ts'

/**
 * After a start: finishes or undoes what a kill interrupted. What was only prepared stays so, since its files were durable
 * before that was answered; what was being committed is committed; what was being undone is undone.
 */
export async function recover(ctx: ApplyContext): Promise<void> {
  await removeLeftovers(ctx)
  const { pending, serving } = ctx.journal.read()
  if (serving !== null) useAsBase(ctx, serving.folder)
  if (pending !== null) await resume(ctx, pending)
  await cleanUp(ctx)
}

async function resume(ctx: ApplyContext, pending: Pending): Promise<void> {
  ctx.log('info', 'resuming', { phase: pending.phase, folder: pending.folder })
  if (pending.phase === 'swapping_back') return await undo(ctx, pending, INTERRUPTED, new StepClock())
  if (isUnderWay(ctx, pending)) return await commit(ctx, pending)
  if (applyIdOf(ctx, pending.folder) !== null) return
  await drop(ctx, pending.folder)
  ctx.journal.update({ pending: null })
}

const INTERRUPTED = {
  message: 'could not be loaded before a restart of the agent',
  file: null,
  line: null,
  resource: null,
}
