import { releaseMemory } from '../host/memory.ts'
import { AGENT_LIMITS } from '../limits.ts'
import type { ApplyContext } from './context.ts'

/** Gives memory back when nothing is to be done: soon after each work, and now and then, because heartbeats use a little as well. */
export interface Rest {
  /** Work has ended. */
  soon(): void
  end(): void
}

export function makeRest({ log }: Pick<ApplyContext, 'log'>, isIdle: () => boolean): Rest {
  const rest = () => {
    if (!isIdle()) return
    try {
      releaseMemory()
    } catch (error) {
      log('debug', 'memory cannot be given back', { error: String(error) })
    }
  }
  let next: ReturnType<typeof setTimeout> | undefined
  const again = (round: number) => {
    const delay_ms =
      round < AGENT_LIMITS.rest_rounds ? AGENT_LIMITS.rest_after_ms : AGENT_LIMITS.rest_every_ms
    next = setTimeout(() => {
      rest()
      again(round + 1)
    }, delay_ms)
  }
  return {
    soon() {
      clearTimeout(next)
      again(0)
    },
    end: () => clearTimeout(next),
  }
}
