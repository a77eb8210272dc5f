import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'

/** How a child ended, in words: `exit code 1`, `signal SIGKILL`. */
export interface ChildEnd {
  readonly name: string
  readonly how: string
  readonly last_lines: readonly string[]
}

export interface ChildSpec {
  readonly name: string
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** What asks it to end well. */
  readonly end_signal: NodeJS.Signals
  readonly on_line?: (line: string) => void
}

const END_DEADLINE_MS = 8_000
const LAST_LINES_MAX = 12
const LINE_CHARS_MAX = 65_536

/**
 * The processes that one demo starts. Each has a process group of its own, so that a terminal's Ctrl-C reaches only the demo, which
 * then ends them in order, and so that nothing of a group outlives it. Should the demo itself be killed, the kernel ends them.
 */
export class Children {
  readonly #running = new Map<ChildProcess, ChildSpec>()
  readonly #logs: string
  readonly #ended: (end: ChildEnd) => void
  #stopping = false

  /** @param ended called when a child ends before it was asked to */
  constructor(logs: string, ended: (end: ChildEnd) => void) {
    this.#logs = logs
    this.#ended = ended
  }

  start(spec: ChildSpec): void {
    if (this.#stopping) return
    const [command = '', ...args] = [
      'setpriv',
      '--pdeathsig',
      spec.end_signal.replace('SIG', ''),
      ...spec.command,
    ]
    const child = spawn(command, args, {
      cwd: spec.cwd,
      env: spec.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#running.set(child, spec)
    const last_lines = this.#listen(child, spec)
    const gone = (how: string) => {
      if (!this.#running.delete(child)) return
      killGroup(child, 'SIGKILL')
      if (!this.#stopping) this.#ended({ name: spec.name, how, last_lines })
    }
    child.once('error', error => gone(error.message))
    child.once('exit', (code, signal) => gone(signal ? `signal ${signal}` : `exit code ${code}`))
  }

  /** Throws when no child of this name runs. */
  pid(name: string): number {
    const found = [...this.#running].find(([, spec]) => spec.name === name)?.[0].pid
    if (found === undefined) throw new Error(`${name} does not run`)
    return found
  }

  /** Ends all, in the reverse order of their start; what does not end by itself is killed. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const [child, spec] of [...this.#running].reverse()) await end(child, spec.end_signal)
  }

  #listen(child: ChildProcess, spec: ChildSpec): string[] {
    const log = createWriteStream(join(this.#logs, `${spec.name}.log`), { flags: 'a', mode: 0o600 })
    const last: string[] = []
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream?.setEncoding('utf8').on('data', (text: string) => {
        log.write(text)
        const lines = (rest + text).split('\n')
        rest = (lines.pop() ?? '').slice(-LINE_CHARS_MAX)
        for (const line of lines) spec.on_line?.(line)
        last.push(...lines)
        last.splice(0, Math.max(0, last.length - LAST_LINES_MAX))
      })
    }
    child.once('close', () => log.end())
    return last
  }
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise(resolve => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resolve()
    const overdue = setTimeout(() => killGroup(child, 'SIGKILL'), END_DEADLINE_MS)
    child.once('exit', () => {
      clearTimeout(overdue)
      killGroup(child, 'SIGKILL')
      resolve()
    })
    child.kill(signal)
  })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  // Never 0 or 1: these would mean our own group, or everyone.
  if (child.pid === undefined || child.pid <= 1) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group is gone, which is what we wanted.
  }
}
