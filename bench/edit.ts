import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Deployment } from '@nxmesh/contract'
import { until } from '../scripts/demo/until.ts'
import { locationsOf, makeUpstream, makeVirtualHosts } from './hosts.ts'
import { median, type Result } from './results.ts'
import { type Stack, startStack } from './stack.ts'
import { acceptingWorkers, areQuiet, haveStopped } from './workers.ts'

/**
 * From the edit in the API until no worker serves the old configuration any more, beside `nginx -t` and SIGHUP by hand with the
 * same configuration on the same nginx, in turns.
 */

const SIZES = [1, 1_000, 5_000]
const ROUNDS = 15
const WARM_UP_ROUNDS = 3
const DEADLINE_MS = 60_000
const BUDGET_TIMES_FLOOR = 1.25

export async function benchEdit(sizes: readonly number[] = SIZES): Promise<Result[]> {
  const stack = await startStack()
  try {
    mkdirSync(stack.settings.paths.www, { recursive: true })
    const upstream_id = await makeUpstream(stack)
    const results: Result[] = []
    let ids: string[] = []
    for (const size of sizes) {
      console.error(`edit: making ${size} virtual hosts`)
      ids = [...ids, ...(await makeVirtualHosts(stack, ids.length, size, upstream_id))]
      if (results.length === 0) await stack.startAgent()
      await settled(stack)
      results.push(await measure(stack, size, ids[size >> 1] ?? '', upstream_id))
    }
    return results
  } finally {
    await stack.stop()
  }
}

/** Every deployment has ended and the agent serves the newest. */
async function settled({ client, workspace_id }: Stack): Promise<void> {
  await until('the end of all deployments', DEADLINE_MS, async () => {
    const { data } = await client.call('deployments_list', { query: { workspace_id, per_page: 1 } })
    return data[0]?.state === 'applied' ? data[0] : null
  })
}

async function measure(stack: Stack, size: number, id: string, upstream_id: string): Promise<Result> {
  const product: number[] = []
  const floor: number[] = []
  const steps: Record<string, number>[] = []
  for (let round = 0; round < ROUNDS + WARM_UP_ROUNDS; round++) {
    await atRest(stack)
    const edit = await timeEdit(stack, id, upstream_id, `${size}-${round}`)
    await atRest(stack)
    const by_hand = await timeByHand(stack)
    if (round < WARM_UP_ROUNDS) continue
    product.push(edit.ms)
    floor.push(by_hand)
    steps.push(edit.steps)
  }
  return {
    what: `edit in the API until no worker serves the old one, ${size} virtual host${size === 1 ? '' : 's'}`,
    unit: 'ms',
    measured: median(product),
    floor: median(floor),
    budget: { times_floor: BUDGET_TIMES_FLOOR },
    steps_ms: mediansOf(steps),
    samples: { product, floor },
  }
}

const atRest = (stack: Stack) => areQuiet([stack.pid('master'), stack.pid('agent'), stack.pid('nginx')])

async function timeEdit(stack: Stack, id: string, upstream_id: string, value: string) {
  const nginx = stack.pid('nginx')
  const older = acceptingWorkers(nginx)
  const root = stack.settings.paths.www
  const began = performance.now()
  const answer = stack.client.call('virtual_hosts_update', {
    params: { id },
    query: { wait: 'applied' },
    body: { locations: locationsOf(upstream_id, root, value) },
  })
  await haveStopped(older, DEADLINE_MS)
  const ms = performance.now() - began
  const { meta } = await answer
  const answered_ms = performance.now() - began
  if (meta.deployment?.state !== 'applied') throw new Error(`the edit ended as ${meta.deployment?.state}`)
  return { ms, steps: { ...stepsOf(meta.deployment), 'PATCH answered': answered_ms } }
}

/** What the agent said of its own steps, and what the master's times add. */
function stepsOf(deployment: Deployment): Record<string, number> {
  const target = deployment.targets[0]
  const at = (time: string | null | undefined) => (time ? Date.parse(time) : Number.NaN)
  const began = at(deployment.created_at)
  return {
    ...Object.fromEntries(
      Object.entries(target?.timings_ms ?? {}).map(([step, ms]) => [`agent: ${step}`, ms]),
    ),
    'master: created to decided': at(deployment.decided_at) - began,
    'master: created to serving': at(target?.steps.serving_at) - began,
  }
}

async function timeByHand(stack: Stack): Promise<number> {
  const nginx = stack.pid('nginx')
  const older = acceptingWorkers(nginx)
  const prefix = stack.settings.paths.nginx
  const began = performance.now()
  await succeeds('nginx', ['-p', prefix, '-c', join(prefix, 'nginx.conf'), '-t'])
  process.kill(nginx, 'SIGHUP')
  await haveStopped(older, DEADLINE_MS)
  return performance.now() - began
}

function succeeds(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore' })
    child.once('error', reject)
    child.once('exit', code =>
      code === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')}: ${code}`)),
    )
  })
}

function mediansOf(all: readonly Record<string, number>[]): Record<string, number> {
  const names = [...new Set(all.flatMap(one => Object.keys(one)))]
  return Object.fromEntries(names.map(name => [name, median(all.flatMap(one => one[name] ?? []))]))
}
