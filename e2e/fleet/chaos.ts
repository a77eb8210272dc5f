import type { FleetAgent } from './fleet.ts'

/** Numbers in [0, 1) that a seed repeats (mulberry32), so that a run that failed can be run again. */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const pick = <T>(items: readonly T[], random: () => number): T => {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

const SEVERED_MS = 400
const DELAY_MAX_MS = 40

/** Until it is stopped, cuts, severs and slows down the wires of these agents, one at each beat. */
export function startChaos(agents: readonly FleetAgent[], random: () => number, every_ms: number) {
  const mending = new Set<ReturnType<typeof setTimeout>>()
  let incidents = 0
  const incident = () => {
    incidents += 1
    const { wire } = pick(agents, random)
    const kind = random()
    if (kind < 0.4) return wire.cut()
    if (kind < 0.8) return wire.delay(random() * DELAY_MAX_MS)
    wire.sever()
    const timer = setTimeout(() => {
      mending.delete(timer)
      wire.mend()
    }, random() * SEVERED_MS)
    mending.add(timer)
  }
  const beating = setInterval(incident, every_ms)
  return {
    incidents: () => incidents,
    /** Every wire is whole and quick again. */
    stop() {
      clearInterval(beating)
      for (const timer of mending) clearTimeout(timer)
      for (const { wire } of agents) {
        wire.mend()
        wire.delay(0)
      }
    },
  }
}
