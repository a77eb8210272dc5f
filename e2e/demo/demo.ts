import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { until } from '../support/until.ts'

const ROOT = resolve(import.meta.dir, '../..')
const PORT_BASE_MIN = 10_000
const PORT_BASES = 9_000
const DEADLINE_MS = 60_000

export interface Credentials {
  url: string
  plain_url: string
  email: string
  password: string
  api_key: string
  organization_id: string
  workspace_id: string
  agent_id: string
  nginx_url: string
}

/** One `npm start` in a folder and on ports of its own. */
export interface Demo {
  readonly dir: string
  readonly base: number
  readonly process: ChildProcess
  output(): string
  /** Resolves when everything serves. */
  ready(): Promise<Credentials>
  /** Its exit code, when it has ended. */
  ended(): Promise<number | null>
}

export function startDemo(dir: string, base: number): Demo {
  const env = { ...process.env, NXMESH_DEMO_DIR: dir, NXMESH_DEMO_PORT_BASE: String(base) }
  const child = spawn('npm', ['start'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
  const over = new Promise<number | null>(resolve => child.once('close', code => resolve(code)))
  const began_ms = Date.now()
  const path = join(dir, 'credentials.json')
  // One of a start before, which was killed, tells nothing.
  const credentials = () =>
    statSync(path).mtimeMs >= began_ms ? (JSON.parse(readFileSync(path, 'utf8')) as Credentials) : null
  return {
    dir,
    base,
    process: child,
    output: () => text,
    ready: () =>
      until(
        'credentials.json',
        () => (child.exitCode === null ? credentials() : Promise.reject(new Error(text))),
        {
          deadline_ms: DEADLINE_MS,
        },
      ),
    ended: () => over,
  }
}

export const demoFolder = (): string => mkdtempSync(join(tmpdir(), 'nxmesh-demo-'))
export const removeDemoFolder = (dir: string): void => rmSync(dir, { recursive: true, force: true })

/** Processes whose working folder lies in the demo's: all that it starts, nginx's workers among them. */
export function processesIn(dir: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter(Number.isInteger)
    .filter(pid => {
      const folder = workingFolder(pid)
      return folder === dir || folder.startsWith(`${dir}/`)
    })
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

export async function freePortBase(): Promise<number> {
  for (;;) {
    const base = PORT_BASE_MIN + Math.floor(Math.random() * PORT_BASES)
    const free = await Promise.all([443, 80, 88].map(offset => isFree(base + offset)))
    if (free.every(Boolean)) return base
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: '127.0.0.1', port }, () => probe.close(() => resolve(true)))
  })
}
