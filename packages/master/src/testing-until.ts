/**
 * Waits for a condition with a deadline: the one place where tests wait for time to pass. Gives the first answer that is not
 * falsy; throws with the last answer, or the last error, as its cause.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { deadline_ms = 15_000, every_ms = 10 }: { deadline_ms?: number; every_ms?: number } = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + deadline_ms
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value as NonNullable<Exclude<T, false>>
      last = value
    } catch (error) {
      last = error
    }
    if (performance.now() > end) throw new Error(`waited ${deadline_ms} ms for: ${what}`, { cause: last })
    await new Promise(resolve => setTimeout(resolve, every_ms))
  }
}
