import { readFileSync } from 'node:fs'

/** What an outsider sees of nginx's processes in /proc; product and floor are judged by the same eyes. */

const POLL_MS = 1

/** Pids of the workers that accept connections. */
export function acceptingWorkers(nginx_pid: number): number[] {
  const children = readFileSync(`/proc/${nginx_pid}/task/${nginx_pid}/children`, 'utf8').trim()
  return children === '' ? [] : children.split(' ').map(Number).filter(accepts)
}

/** A worker that ended has no title any more, one that is told to end says so in it. */
function accepts(pid: number): boolean {
  try {
    const title = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
    return title.includes('worker process') && !title.includes('shutting down')
  } catch {
    return false
  }
}

/** Resolves when none of these workers accepts connections any more. */
export async function haveStopped(workers: readonly number[], deadline_ms: number): Promise<void> {
  const end = performance.now() + deadline_ms
  while (workers.some(accepts)) {
    if (performance.now() > end) throw new Error(`workers ${workers.join(', ')} still accept connections`)
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
}

const QUIET_MS = 200
const QUIET_DEADLINE_MS = 20_000

/** Resolves when none of these processes used the CPU for a while: what follows an edit must not slow the next measurement. */
export async function areQuiet(pids: readonly number[]): Promise<void> {
  const end = performance.now() + QUIET_DEADLINE_MS
  for (let before = cpuTicks(pids); ; ) {
    await new Promise(resolve => setTimeout(resolve, QUIET_MS))
    const now = cpuTicks(pids)
    // A heartbeat or a timer may tick.
    if (now - before <= 1 || performance.now() > end) return
    before = now
  }
}

function cpuTicks(pids: readonly number[]): number {
  const ticks = pids.map(pid => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, one) => sum + one, 0)
}

/** Memory of a process in MB (10^6 bytes): all that is resident, and the part that is its own and not pages of a file. */
export function memoryMb(pid: number): { resident: number; own: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mb = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
    if (kib === undefined) throw new Error(`process ${pid} shows no ${name}`)
    return (Number(kib) * 1024) / 1e6
  }
  return { resident: mb('VmRSS'), own: mb('RssAnon') }
}
