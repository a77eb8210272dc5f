import { spawn } from 'node:child_process'

export interface CommandResult {
  /** Null when it was killed. */
  readonly exit_code: number | null
  /** Standard output and error, as they came, cut at `OUTPUT_MAX_CHARS`. */
  readonly output: string
  readonly stdout: string
  readonly timed_out: boolean
}

const OUTPUT_MAX_CHARS = 16 * 1024 * 1024

/**
 * Runs a program without a shell in a process group of its own; at the deadline, or when `cancel` fires, the whole group is
 * killed, so that a wrapper's children end as well.
 * @throws when the program cannot be started
 */
export function runCommand(
  binary: string,
  args: readonly string[],
  timeout_ms: number,
  cancel?: AbortSignal,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let output = ''
    let stdout = ''
    let timed_out = false
    const kill = () => killGroup(child.pid)
    const timer = setTimeout(() => {
      timed_out = true
      kill()
    }, timeout_ms)
    cancel?.addEventListener('abort', kill, { once: true })
    child.stdout.on('data', (chunk: Buffer) => {
      if (stdout.length < OUTPUT_MAX_CHARS) stdout += chunk.toString('utf8')
    })
    child.stderr.on('data', (chunk: Buffer) => {
      if (output.length < OUTPUT_MAX_CHARS) output += chunk.toString('utf8')
    })
    const settle = () => {
      clearTimeout(timer)
      cancel?.removeEventListener('abort', kill)
    }
    child.once('error', error => {
      settle()
      reject(error)
    })
    child.once('close', exit_code => {
      settle()
      resolve({ exit_code, output: output + stdout, stdout, timed_out })
    })
  })
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined || pid <= 1) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
