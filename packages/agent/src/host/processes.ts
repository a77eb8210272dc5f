import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A process as /proc shows it; pid and start time together name one process for good (a pid is used again). */
export interface ProcessId {
  readonly pid: number
  /** Clock ticks since boot (field 22 of /proc/<pid>/stat). */
  readonly started: number
}

export interface ProcessFacts extends ProcessId {
  readonly parent: number
  /** The command line as the process shows it, e.g. `nginx: master process /usr/sbin/nginx`. */
  readonly title: string
  /** One letter; `Z` has ended and waits for its parent. */
  readonly state: string
}

const ZOMBIE = 'Z'

/** Null when there is no such process (or it has ended). */
export function readProcess(pid: number): ProcessFacts | null {
  if (!Number.isSafeInteger(pid) || pid <= 1) return null
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the name in parentheses and may hold anything, so fields count from the last parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const state = fields[0] ?? ZOMBIE
    if (state === ZOMBIE || state === 'X') return null
    return { pid, started: Number(fields[19]), parent: Number(fields[1]), state, title: readTitle(pid) }
  } catch {
    return null
  }
}

function readTitle(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
}

/** Whether this very process still runs. */
export function isAlive(who: ProcessId): boolean {
  return readProcess(who.pid)?.started === who.started
}

/** All processes that this user can see. */
export function allPids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isSafeInteger)
}

/** The children of a process; from its own list where the kernel keeps one, else from everybody's parent. */
export function childrenOf(pid: number): ProcessFacts[] {
  return childPids(pid)
    .map(readProcess)
    .filter(one => one !== null)
}

function childPids(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    return list === '' ? [] : list.split(' ').map(Number)
  } catch {
    return allPids().filter(one => readProcess(one)?.parent === pid)
  }
}

/** Sends a signal to exactly this process. @returns false when it is gone or another has its pid now */
export function sendSignal(who: ProcessId, signal: 'SIGHUP' | 'SIGTERM' | 'SIGQUIT' | 'SIGUSR1'): boolean {
  if (!isAlive(who)) return false
  process.kill(who.pid, signal)
  return true
}

/** Inodes of the sockets that a process holds. */
export function socketInodes(pid: number): Set<string> {
  const inodes = new Set<string>()
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readFd(pid, fd))?.[1]
      if (inode !== undefined) inodes.add(inode)
    }
  } catch {
    // Gone, or another user's: then it holds nothing that we can prove.
  }
  return inodes
}

function readFd(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`)
  } catch {
    return ''
  }
}
