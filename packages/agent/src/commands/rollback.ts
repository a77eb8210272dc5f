import { makeContext } from '../agent.ts'
import { drop } from '../apply/apply.ts'
import { withApplyLock } from '../apply/apply-lock.ts'
import { applyIdOf, makeCurrent } from '../apply/commit.ts'
import { type ApplyContext, currentLink, isUnderWay, StepClock } from '../apply/context.ts'
import type { AgentConfig } from '../config.ts'
import { readLink } from '../host/files.ts'
import type { Log } from '../log.ts'
import { NginxError } from '../nginx/installation.ts'
import type { Deployed } from '../state/journal.ts'

/**
 * Serves an older deployment again, by hand and without the master, and puts the agent on hold: until someone lifts it at
 * the master, nothing else is applied. Works beside a running agent, which waits meanwhile.
 * @param folder timestamp of the deployment; undefined for the one that was served before
 * @throws NginxError; then what was served before is served again
 */
export async function rollback(config: AgentConfig, log: Log, folder?: string): Promise<Deployed> {
  const { context } = await makeContext({
    state_dir: config.state_dir,
    nginx: { ...config.nginx, start: false },
    log,
  })
  return await withApplyLock(context.paths, () => rollBackTo(context, folder))
}

async function rollBackTo(ctx: ApplyContext, wanted: string | undefined): Promise<Deployed> {
  const current = readLink(currentLink(ctx))
  const target = chooseTarget(ctx, wanted, current)
  const { pending } = ctx.journal.read()
  if (pending !== null && isUnderWay(ctx, pending))
    throw new NginxError(
      'a deployment was interrupted while it became live; start the agent, it finishes or undoes it',
    )
  // On hold first: whatever happens from here on, the agent must not apply over the operator's decision.
  const hold = { since: ctx.now().toISOString(), reason: `rolled back by hand to ${target.folder}` }
  ctx.journal.update({ hold, pending: null })
  if (pending !== null) await drop(ctx, pending.folder)
  const error = await makeCurrent(ctx, { folder: target.folder }, new StepClock())
  if (error !== null) {
    if (current !== null) await makeCurrent(ctx, { folder: current }, new StepClock())
    throw new NginxError(`${target.folder} cannot be served: ${error.message}`)
  }
  ctx.journal.update({ serving: target, outcome: null })
  return target
}

function chooseTarget(ctx: ApplyContext, wanted: string | undefined, current: string | null): Deployed {
  const { folders } = ctx.journal.read()
  const whole = folders.filter(({ folder }) => applyIdOf(ctx, folder) !== null)
  const names = whole.map(({ folder }) => folder).join(', ') || 'none'
  if (wanted === undefined) {
    const index = whole.findIndex(({ folder }) => folder === current)
    const before = whole[index === -1 ? whole.length - 1 : index - 1]
    if (before === undefined)
      throw new NginxError(`there is no deployment before the current one (kept: ${names})`)
    return before
  }
  const target = whole.find(({ folder }) => folder === wanted)
  if (target === undefined) throw new NginxError(`there is no deployment ${wanted} (kept: ${names})`)
  return target
}
