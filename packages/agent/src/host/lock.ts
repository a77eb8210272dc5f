import { closeSync, openSync } from 'node:fs'
import { PRIVATE_FILE_MODE } from './files.ts'
import { lockFile } from './kernel.ts'

export interface Lock {
  release(): void
}

/**
 * Takes a lock that the kernel ends with the process, however it ends. Children do not hold it: Node opens files so that
 * they close at exec.
 * @returns null when it is held, by another process or by this one
 */
export function tryLock(path: string): Lock | null {
  const file = openSync(path, 'a', PRIVATE_FILE_MODE)
  let held = false
  try {
    held = lockFile(file)
  } finally {
    if (!held) closeSync(file)
  }
  let released = false
  const release = () => {
    if (!released) closeSync(file)
    released = true
  }
  return held ? { release } : null
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
