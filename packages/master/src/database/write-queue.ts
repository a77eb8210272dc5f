import { AsyncLocalStorage } from 'node:async_hooks'
import { ApiError } from '@nxmesh/contract'
import { MASTER_LIMITS } from '../limits.ts'

export interface WriteLimits {
  readonly writes_waiting: number
  readonly write_wait_ms: number
}

interface Waiter {
  start(): void
}

/**
 * Lets one write transaction run at a time, in the order of arrival, so that both engines give the same guarantee: a
 * transaction sees every one before it and none beside it. Bounded in length and in time of waiting.
 */
export class WriteQueue {
  readonly #waiting: Waiter[] = []
  readonly #inside = new AsyncLocalStorage<{ open: boolean }>()
  readonly #limits: WriteLimits
  #busy = false

  constructor(limits: WriteLimits = MASTER_LIMITS) {
    this.#limits = limits
  }

  /** Throws `UNAVAILABLE` when too many wait, or after waiting too long. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside.getStore()?.open)
      throw new Error('write() was called inside a write(): it would wait for itself')
    await this.#enter()
    const mark = { open: true }
    try {
      return await this.#inside.run(mark, work)
    } finally {
      mark.open = false
      this.#leave()
    }
  }

  #enter(): Promise<void> | void {
    if (!this.#busy) {
      this.#busy = true
      return
    }
    if (this.#waiting.length >= this.#limits.writes_waiting) throw overloaded('too many changes are waiting')
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        start: () => {
          clearTimeout(timer)
          resolve()
        },
      }
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(overloaded('the change waited too long for the ones before it'))
      }, this.#limits.write_wait_ms)
      this.#waiting.push(waiter)
    })
  }

  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next.start()
    else this.#busy = false
  }
}

const overloaded = (why: string) =>
  new ApiError('UNAVAILABLE', `The database is busy: ${why}; nothing was changed.`, { retry_after_s: 2 })
