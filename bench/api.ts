import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { median, type Result } from './results.ts'

/** API reads with authorization and database, beside the same query behind bare Hono in the same process, in turns. */

const ROUNDS = 15
const SECONDS = 1
const CONNECTIONS = 16
const BUDGET_TIMES_FLOOR = 1.5
const US_PER_S = 1e6

interface Target {
  readonly base_url: string
  readonly floor_url: string
  readonly api_key: string
  readonly workspace_id: string
  readonly id: string
}

export async function benchApi(): Promise<Result[]> {
  const dir = mkdtempSync(join(tmpdir(), 'nxmesh-bench-api-'))
  const script = join(import.meta.dir, 'api-target.ts')
  const child = spawn(process.execPath, ['--no-env-file', script, dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const target = await announced(child)
    const hosts = `${target.base_url}/api/v1/virtual-hosts`
    return [
      await compare(
        'API read of one virtual host',
        `${hosts}/${target.id}`,
        `${target.floor_url}/${target.id}`,
        target,
      ),
      await compare(
        'API list of 20 of 100',
        `${hosts}?workspace_id=${target.workspace_id}`,
        `${target.floor_url}/`,
        target,
      ),
      await compare(
        'API list of workspaces',
        `${target.base_url}/api/v1/workspaces`,
        `${target.floor_url}/workspaces`,
        target,
      ),
    ]
  } finally {
    child.stdin?.end()
    if (child.exitCode === null) await once(child, 'exit')
    rmSync(dir, { recursive: true, force: true })
  }
}

async function announced(child: ChildProcess): Promise<Target> {
  if (!child.stdout) throw new Error('the target has no output')
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line) as Target
  throw new Error('the target ended before it listened')
}

async function compare(what: string, url: string, floor_url: string, { api_key }: Target): Promise<Result> {
  const product: number[] = []
  const floor: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    console.error(`api: ${what}, round ${round + 1} of ${ROUNDS}`)
    product.push(US_PER_S / (await requestsPerSecond(url, api_key)))
    floor.push(US_PER_S / (await requestsPerSecond(floor_url, api_key)))
  }
  return {
    what,
    unit: 'us',
    measured: median(product),
    floor: median(floor),
    budget: { times_floor: BUDGET_TIMES_FLOOR },
    samples: { product, floor },
  }
}

async function requestsPerSecond(url: string, api_key: string): Promise<number> {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '-H', `Authorization: Bearer ${api_key}`, url]
  const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', chunk => {
    text += chunk
  })
  await once(child, 'close')
  const found = /Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]
  if (found === undefined || /Non-2xx|Socket errors/.test(text))
    throw new Error(`wrk on ${url} said:\n${text}`)
  return Number(found)
}
