import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { until } from './until.ts'

export const ROOT = resolve(import.meta.dir, '../..')

export interface Running {
  readonly pid: number
  /** Everything it wrote so far. */
  output(): string
  readonly exited: Promise<number | null>
  hasExited(): boolean
  signal(signal: NodeJS.Signals): void
  /** SIGTERM, then SIGKILL after a deadline; resolves when it is gone. */
  stop(): Promise<void>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

const OUTPUT_KEPT_CHARS = 1_000_000

/** Runs one of the two programs from source with exactly this environment beside PATH and HOME. */
export function runProgram(
  program: 'nxmesh' | 'nxmesh-agent',
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Running {
  const inherited = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/' }
  const child = spawn(process.execPath, [`${ROOT}/bin/${program}.ts`, ...args], {
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return watch(child)
}

export function watch(child: ChildProcess): Running {
  let text = ''
  const take = (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-OUTPUT_KEPT_CHARS)
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  const exited = new Promise<number | null>(done => child.on('exit', code => done(code)))
  const hasExited = () => child.exitCode !== null || child.signalCode !== null
  const kill = async () => {
    if (!hasExited()) child.kill('SIGKILL')
    await exited
  }
  return {
    pid: child.pid ?? 0,
    output: () => text,
    exited,
    hasExited,
    signal: signal => child.kill(signal),
    kill,
    stop: async () => {
      if (!hasExited()) child.kill('SIGTERM')
      await until('the process to end after SIGTERM', hasExited).catch(kill)
      await exited
    },
  }
}
