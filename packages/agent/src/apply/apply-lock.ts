import { waitForLock } from '../host/lock.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { NginxError } from '../nginx/installation.ts'
import type { StatePaths } from '../state/paths.ts'

/**
 * Runs a change alone: the agent's queue and a rollback by hand both come through here, so they never act at once.
 * @throws NginxError when another process holds the lock for too long
 */
export async function withApplyLock<T>(paths: StatePaths, work: () => Promise<T>): Promise<T> {
  const lock = await waitForLock(paths.apply_lock, AGENT_LIMITS.apply_lock_max_ms)
  if (lock === null) throw new NginxError('another process has been changing what nginx serves for too long')
  try {
    return await work()
  } finally {
    lock.release()
  }
}
