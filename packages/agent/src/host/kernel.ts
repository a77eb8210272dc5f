import { dlopen, FFIType, read } from 'bun:ffi'

/** What the kernel offers and `node:` does not, by the C library. Calls that can wait do not belong here: they would stop the agent. */

const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }
const C_LIBRARIES = ['libc.so.6', `libc.musl-${MACHINES[process.arch] ?? process.arch}.so.1`]

function openLibrary() {
  const failures: string[] = []
  for (const name of C_LIBRARIES) {
    try {
      return dlopen(name, {
        flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
        madvise: { args: [FFIType.u64, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
        __errno_location: { args: [], returns: FFIType.ptr },
      }).symbols
    } catch (error) {
      failures.push(String(error))
    }
  }
  throw new Error(`the C library cannot be opened: ${failures.join('; ')}`)
}

let opened: ReturnType<typeof openLibrary> | null = null
function library() {
  opened ??= openLibrary()
  return opened
}

const LOCK_EXCLUSIVE = 2
const LOCK_NO_WAIT = 4
const WOULD_BLOCK = 11

/**
 * An exclusive flock(2) on an open file; it ends when the file is closed or the process ends, however it ends.
 * @returns false when another open file holds it
 * @throws where the file system knows no locks
 */
export function lockFile(descriptor: number): boolean {
  const { flock, __errno_location } = library()
  if (flock(descriptor, LOCK_EXCLUSIVE | LOCK_NO_WAIT) === 0) return true
  const at = __errno_location()
  const code = at === null ? 0 : read.i32(at, 0)
  if (code === WOULD_BLOCK) return false
  throw new Error(`flock failed with error ${code}`)
}

const DONT_NEED = 4

/** Unmaps the pages of a read-only file mapping (madvise(2)); whatever is used again comes back from the page cache. */
export function unmapPages(start: bigint, end: bigint): void {
  library().madvise(start, end - start, DONT_NEED)
}
