const EVERY_MS = 50

/** Asks until the answer is not null; throws when the deadline is over. An error of one attempt is the reason then. */
export async function until<T>(what: string, deadline_ms: number, ask: () => Promise<T | null>): Promise<T> {
  const end = Date.now() + deadline_ms
  for (;;) {
    const { answer, error } = await attempt(ask)
    if (answer !== null) return answer
    if (Date.now() > end)
      throw new Error(`${what} did not happen within ${deadline_ms / 1000} s`, { cause: error })
    await new Promise(resolve => setTimeout(resolve, EVERY_MS))
  }
}

async function attempt<T>(ask: () => Promise<T | null>): Promise<{ answer: T | null; error: unknown }> {
  try {
    return { answer: await ask(), error: undefined }
  } catch (error) {
    return { answer: null, error }
  }
}
