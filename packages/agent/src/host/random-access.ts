import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { PRIVATE_FILE_MODE } from './files.ts'

/** A file of our own that is read and written at positions. Errors are Node's own. */
export interface RandomAccessFile {
  size(): number
  /** As many bytes as there are from the position on, at most `length`. */
  read(position: number, length: number): Buffer
  write(position: number, bytes: Buffer): void
  truncate(size: number): void
  close(): void
}

/** Opens the file, or makes it; a symlink is refused. */
export function openRandomAccess(path: string): RandomAccessFile {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, PRIVATE_FILE_MODE)
  return {
    size: () => fstatSync(file).size,
    read(position, length) {
      const bytes = Buffer.allocUnsafe(length)
      let count = 0
      while (count < length) {
        const more = readSync(file, bytes, count, length - count, position + count)
        if (more === 0) break
        count += more
      }
      return bytes.subarray(0, count)
    },
    write(position, bytes) {
      let count = 0
      while (count < bytes.length)
        count += writeSync(file, bytes, count, bytes.length - count, position + count)
    },
    truncate: size => ftruncateSync(file, size),
    close: () => closeSync(file),
  }
}
