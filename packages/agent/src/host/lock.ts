import { Database } from 'bun:sqlite'

export interface Lock {
  release(): void
}

/**
 * Takes a lock that the kernel ends with the process, however it ends. Node has no flock; SQLite's exclusive transaction on
 * a small file of its own takes the same kernel locks.
 * @returns null when another process holds it
 */
export function tryLock(path: string): Lock | null {
  const file = new Database(path, { create: true })
  try {
    file.run('PRAGMA busy_timeout = 0')
    file.run('PRAGMA journal_mode = MEMORY')
    file.run('BEGIN EXCLUSIVE')
  } catch (error) {
    file.close()
    if (error instanceof Error && /locked|busy/i.test(error.message)) return null
    throw error
  }
  return { release: () => file.close() }
}

const RETRY_MS = 20

/** Waits for the lock up to a time. @returns null when that time is over */
export async function waitForLock(path: string, timeout_ms: number): Promise<Lock | null> {
  const deadline = performance.now() + timeout_ms
  for (;;) {
    const lock = tryLock(path)
    if (lock !== null || performance.now() >= deadline) return lock
    await new Promise(resolve => setTimeout(resolve, RETRY_MS))
  }
}
