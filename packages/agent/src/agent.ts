import { type Applier, makeApplier, makeLateReports } from './apply/applier.ts'
import { withApplyLock } from './apply/apply-lock.ts'
import type { ApplyContext } from './apply/context.ts'
import { makeInbox } from './apply/inbox.ts'
import { makeStaging } from './apply/staging.ts'
import { type Lock, waitForLock } from './host/lock.ts'
import { randomUUIDv7 } from './ids.ts'
import { AGENT_LIMITS } from './limits.ts'
import type { Log } from './log.ts'
import { adoptNginx } from './nginx/adoption.ts'
import { makeFactsReader } from './nginx/facts.ts'
import { locateNginx, NginxError, type NginxSettings } from './nginx/installation.ts'
import { startNginx } from './nginx/start.ts'
import { openJournal } from './state/journal.ts'
import { openObjectCache } from './state/objects.ts'
import { makeStateFolders, statePaths } from './state/paths.ts'

export interface AgentOptions {
  readonly state_dir: string
  readonly nginx: NginxSettings
  readonly log: Log
  readonly now?: () => Date
  readonly newId?: () => string
}

export interface Agent {
  readonly orders: Applier
  readonly context: ApplyContext
  /** Lets the running order end, then lets the state folder go. */
  close(): Promise<void>
}

/**
 * The agent without its link: takes nginx over when that has not happened yet, finishes what a kill interrupted, and then
 * carries out orders. One process per state folder.
 * @throws NginxError, StateError in words for the operator
 */
export async function openAgent(options: AgentOptions): Promise<Agent> {
  const paths = statePaths(options.state_dir)
  makeStateFolders(paths)
  const lock = await waitForLock(paths.agent_lock, AGENT_LIMITS.agent_lock_max_ms)
  if (lock === null) throw new NginxError(`another agent runs with ${paths.root}`)
  try {
    return await open(options, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

async function open(options: AgentOptions, lock: Lock): Promise<Agent> {
  const { context, reports } = await makeContext(options)
  const orders = makeApplier(context, reports)
  return {
    orders,
    context,
    async close() {
      await orders.idle()
      orders.end()
      context.staging.end()
      context.objects.close()
      lock.release()
    },
  }
}

/** Locates nginx, takes it over where that has not happened yet, starts it where that is wanted. */
export async function prepareNginx(options: AgentOptions) {
  const paths = statePaths(options.state_dir)
  makeStateFolders(paths)
  const now = options.now ?? (() => new Date())
  const newId = options.newId ?? randomUUIDv7
  const { log, nginx } = options
  const installation = await locateNginx(nginx)
  const adoption = await withApplyLock(paths, () => adoptNginx({ installation, paths, now, newId, log }))
  if (nginx.start) await startNginx(installation, adoption.status_port)
  return { paths, installation, adoption, now, newId, log }
}

/** What the pipeline works with, for the agent itself and for commands beside it. */
export async function makeContext(options: AgentOptions) {
  const prepared = await prepareNginx(options)
  const { paths, installation, adoption, newId } = prepared
  const objects = openObjectCache(paths)
  const reports = makeLateReports()
  const context: ApplyContext = {
    ...prepared,
    journal: openJournal(paths),
    objects,
    inbox: makeInbox(objects),
    staging: makeStaging(adoption.conf_d_path, newId),
    facts: makeFactsReader(installation, adoption),
    reports,
    base: null,
    tested: null,
  }
  return { context, reports }
}
