import { LIMITS } from '@nxmesh/contract'
import { EVENTS_LIMITS } from './events-limits.ts'
import { type EventPlace, placeKey } from './events-rules.ts'

/** What changed in one place since the last time; `items` null: too much to name. */
export interface Gathered<T> {
  readonly place: EventPlace
  readonly items: ReadonlyMap<string, T> | null
}

export interface Gather<T> {
  /** A thing that changed again is told once, as it is then. */
  add(place: EventPlace, id: string, item: T): void
  stop(): void
}

/**
 * Passes on the first change at once, and what comes within LIMITS.events_gather_ms after it together. `tell` must not throw;
 * `flood` is called in its place when more places changed than are kept.
 */
export function makeGather<T>(
  tell: (batch: readonly Gathered<T>[]) => Promise<void>,
  flood: () => void,
): Gather<T> {
  let places = new Map<string, { place: EventPlace; items: Map<string, T> | null }>()
  let flooded = false
  let busy = false
  let timer: ReturnType<typeof setTimeout> | null = null

  const run = async () => {
    const batch = [...places.values()]
    places = new Map()
    if (flooded) flood()
    else await tell(batch)
    flooded = false
    timer = setTimeout(() => {
      timer = null
      if (places.size === 0) busy = false
      else void run()
    }, LIMITS.events_gather_ms)
    timer.unref()
  }

  return {
    add(place, id, item) {
      const key = placeKey(place)
      const known = places.get(key)
      if (!known) {
        if (places.size >= EVENTS_LIMITS.gathered_places) flooded = true
        else places.set(key, { place, items: new Map([[id, item]]) })
      } else if (known.items) {
        known.items.set(id, item)
        if (known.items.size > LIMITS.events_batch) known.items = null
      }
      if (busy) return
      busy = true
      // What changes in this very moment belongs together.
      queueMicrotask(() => void run())
    },
    stop() {
      if (timer) clearTimeout(timer)
      busy = true
      places.clear()
    },
  }
}
