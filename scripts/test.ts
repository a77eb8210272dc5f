import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** Runs types, style and tests, each with a deadline, and sums up what `bun test` counted. */
const CHECK_DEADLINE_MS = 180_000
const TESTS_DEADLINE_MS = 780_000
const KILL_AFTER_MS = 5_000
const WORKERS_MAX = 4
/** For one test; a machine that does other things as well must not make it fail. */
const TEST_TIMEOUT_MS = 30_000

interface Outcome {
  readonly exit_code: number
  readonly text: string
}

/** Runs a program, shows what it writes, and keeps it. Past its deadline it is ended; that is a failure. */
function run(command: string, args: readonly string[], deadline_ms: number): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // Bun's own --no-orphans would spread through the environment and end the daemons that tests start and kill.
    const guarded = ['--pdeathsig', 'TERM', command, ...args]
    const child = spawn('setpriv', guarded, { stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    const keep = (to: NodeJS.WriteStream) => (chunk: Buffer) => {
      chunks.push(chunk)
      to.write(chunk)
    }
    child.stdout.on('data', keep(process.stdout))
    child.stderr.on('data', keep(process.stderr))
    const overdue = setTimeout(() => {
      process.stderr.write(`\n${command} ${args.join(' ')} did not end within ${deadline_ms / 1000} s\n`)
      child.kill('SIGTERM')
      setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref()
    }, deadline_ms)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(overdue)
      resolve({ exit_code: signal ? 1 : (code ?? 1), text: Buffer.concat(chunks).toString('utf8') })
    })
  })
}

/** What `bun test` says at its end: ` 12 pass`, ` 1 fail`, ` 2 errors`. */
function counted(text: string, word: string): number {
  const found = [...text.matchAll(new RegExp(`^\\s*(\\d+) ${word}$`, 'gm'))].at(-1)
  return Number(found?.[1] ?? 0)
}

async function check(title: string, command: string, args: readonly string[]): Promise<number> {
  const { exit_code } = await run(command, args, CHECK_DEADLINE_MS)
  console.log(exit_code === 0 ? `${title}: fine` : `${title}: failed`)
  return exit_code === 0 ? 0 : 1
}

async function tests(paths: readonly string[]): Promise<{ passed: number; failed: number }> {
  const workers = Math.min(availableParallelism(), WORKERS_MAX)
  // Not isolated: a worker's files share one PostgreSQL cluster, which takes seconds to make.
  const workers_args = [`--parallel=${workers}`, '--no-isolate', `--timeout=${TEST_TIMEOUT_MS}`]
  const args = ['test', ...workers_args, '--only-failures', ...paths]
  const { exit_code, text } = await run(process.execPath, args, TESTS_DEADLINE_MS)
  const passed = counted(text, 'pass')
  const failed = counted(text, 'fail') || counted(text, 'errors?')
  // A run that broke off, or that found no test at all, is a failure even when it counted none.
  const broken = failed === 0 && (exit_code !== 0 || passed === 0)
  return { passed, failed: broken ? 1 : failed }
}

async function main(paths: readonly string[]): Promise<number> {
  const checks = await Promise.all([
    check('types', 'node_modules/.bin/tsc', ['--noEmit', '-p', '.']),
    check('style', 'node_modules/.bin/biome', ['check', '--error-on-warnings', '.']),
  ])
  const { passed, failed } = await tests(paths.length > 0 ? paths : ['packages', 'e2e', 'bench', 'scripts'])
  const failed_total = failed + checks.reduce((sum, one) => sum + one, 0)
  console.log(`${passed} passed, ${failed_total} failed`)
  return failed_total === 0 ? 0 : 1
}

process.exit(await main(process.argv.slice(2)))
