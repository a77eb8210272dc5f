import type { MasterMessageOf } from '@nxmesh/contract/channel/messages'
import type { ObjectCache } from '../state/objects.ts'

/** Objects as they arrive, beside the queue of orders: a prepare that waits for them must not block them. */
export interface Inbox {
  take(message: MasterMessageOf<'objects'>): void
  /** How many objects came for this deployment. */
  count(deployment_id: string): number
  /** Resolves with true at the next message, with false after a time or when it is cancelled. */
  next(timeout_ms: number, cancel: AbortSignal): Promise<boolean>
}

const DEPLOYMENTS_MAX = 8

export function makeInbox(objects: ObjectCache): Inbox {
  const counts = new Map<string, number>()
  let waiters: (() => void)[] = []
  return {
    take({ deployment_id, objects: batch }) {
      for (const { hash, json } of batch) objects.put(hash, json)
      const count = (counts.get(deployment_id) ?? 0) + batch.length
      counts.delete(deployment_id)
      counts.set(deployment_id, count)
      const [oldest] = counts.keys()
      if (counts.size > DEPLOYMENTS_MAX && oldest !== undefined) counts.delete(oldest)
      const woken = waiters
      waiters = []
      for (const wake of woken) wake()
    },
    count: deployment_id => counts.get(deployment_id) ?? 0,
    next(timeout_ms, cancel) {
      return new Promise(resolve => {
        const done = (arrived: boolean) => {
          clearTimeout(timer)
          cancel.removeEventListener('abort', stop)
          resolve(arrived)
        }
        const stop = () => done(false)
        const timer = setTimeout(stop, timeout_ms)
        cancel.addEventListener('abort', stop, { once: true })
        waiters.push(() => done(true))
      })
    },
  }
}
