import { AGENT_LIMITS } from './limits.ts'

/** Asks again, eagerly at first, until there is an answer. @returns null when the time is over */
export async function pollUntil<T>(
  ask: () => T | null | Promise<T | null>,
  timeout_ms: number,
): Promise<T | null> {
  const start = performance.now()
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    const waited_ms = performance.now() - start
    if (waited_ms >= timeout_ms) return null
    const pause_ms =
      waited_ms < AGENT_LIMITS.poll_eager_ms ? AGENT_LIMITS.poll_ms : AGENT_LIMITS.poll_patient_ms
    await new Promise(resolve => setTimeout(resolve, pause_ms))
  }
}
