import { readFileSync } from 'node:fs'
import { unmapPages } from './kernel.ts'

let code: readonly { start: bigint; end: bigint }[] | null = null

/**
 * Gives back what is only needed while something happens: the pages of the executable's code that only a start or a
 * deployment runs, and garbage. An agent rests almost always, and its host is there for others.
 * Blocks for the time of one collection, some 10 ms.
 */
export function releaseMemory(): void {
  Bun.gc(true)
  code ??= ownCode()
  for (const { start, end } of code) unmapPages(start, end)
}

/** A code mapping of a file: `start-end r-xp offset device inode path`, in proc_pid_maps(5). */
const CODE = /^([0-9a-f]+)-([0-9a-f]+) r-xp [0-9a-f]+ \S+ [1-9]\d* +\S/

/** Mappings that hold nothing but what the file holds: dropping a page that was written to would lose it. */
function ownCode(): { start: bigint; end: bigint }[] {
  const mappings = readFileSync('/proc/self/smaps', 'latin1').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)
  return mappings.flatMap(text => {
    const [, start, end] = CODE.exec(text) ?? []
    if (start === undefined || end === undefined || !/^Anonymous: +0 kB$/m.test(text)) return []
    return [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }]
  })
}
