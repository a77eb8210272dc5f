import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const READ_MAX_BYTES = 4 * 1024 * 1024

/** New lines of a log file from a moment on; a rename by log rotation does not lose the open file. */
export interface Tail {
  /** Whole lines that came since the last call. */
  lines(): string[]
  close(): void
}

/** @throws when the file cannot be read */
export function openTail(path: string): Tail {
  const file = openSync(path, 'r')
  let offset = fstatSync(file).size
  let half = ''
  return {
    lines() {
      const size = fstatSync(file).size
      if (size < offset) offset = 0
      if (size === offset) return []
      const buffer = Buffer.allocUnsafe(Math.min(size - offset, READ_MAX_BYTES))
      const count = readSync(file, buffer, 0, buffer.length, offset)
      offset += count
      const parts = (half + buffer.toString('utf8', 0, count)).split('\n')
      half = parts.pop() ?? ''
      return parts
    },
    close: () => closeSync(file),
  }
}
