import { ApiError, LIMITS } from '@nxmesh/contract'
import type { Trust } from './login-throttle.ts'

/** For whom costly work is done. */
export interface Applicant {
  /** What counts as one of many: an address (`addressKey`). */
  readonly sender: string
  readonly trust: Trust
}

/**
 * Few works at once: those who are trusted more go first, and nobody waits behind a sender that sends many. One place is never
 * a stranger's, so that whoever is known gets in during a flood, and the flood never gets every core.
 */
export interface Turns {
  /** Throws UNAVAILABLE when too many wait, RATE_LIMITED when too many of one sender do; then `work` was not begun. */
  run<T>(applicant: Applicant, work: () => Promise<T>): Promise<T>
}

export function makeTurns(): Turns {
  const queues = { known: new FairQueue(), clean: new FairQueue(), suspicious: new FairQueue() }
  let running = 0
  let strangers = 0

  const hasRoom = (trust: Trust): boolean =>
    running < LIMITS.password_checks_at_once &&
    (trust === 'known' || strangers < LIMITS.password_checks_of_strangers)
  const enter = (trust: Trust) => {
    running++
    if (trust !== 'known') strangers++
  }
  const leave = (trust: Trust) => {
    running--
    if (trust !== 'known') strangers--
    for (const next of ['known', 'clean', 'suspicious'] as const) {
      const start = hasRoom(next) ? queues[next].next() : undefined
      if (!start) continue
      // Taken for it here: nobody comes in between.
      enter(next)
      return start()
    }
  }

  return {
    async run({ sender, trust }, work) {
      if (hasRoom(trust)) enter(trust)
      else await queues[trust].place(sender)
      try {
        return await work()
      } finally {
        leave(trust)
      }
    },
  }
}

type Start = () => void

/** Takes one of each sender in turn. Bounded in all and for each. */
class FairQueue {
  readonly #by_sender = new Map<string, Start[]>()
  #waiting = 0

  place(sender: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const own = this.#by_sender.get(sender) ?? []
      if (own.length >= LIMITS.password_checks_of_sender) return reject(tooMany('RATE_LIMITED'))
      if (this.#waiting >= LIMITS.password_checks_waiting) return reject(tooMany('UNAVAILABLE'))
      this.#by_sender.set(sender, [...own, resolve])
      this.#waiting++
    })
  }

  next(): Start | undefined {
    for (const [sender, [first, ...rest]] of this.#by_sender) {
      this.#by_sender.delete(sender)
      // To the end of the line.
      if (rest.length > 0) this.#by_sender.set(sender, rest)
      this.#waiting--
      return first
    }
    return undefined
  }
}

const tooMany = (code: 'RATE_LIMITED' | 'UNAVAILABLE') =>
  new ApiError(code, 'Too many log-ins at once', { retry_after_s: 2 })
