import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { makeUpstream, makeVirtualHosts } from './hosts.ts'
import { median, type Result } from './results.ts'
import { type Stack, startStack } from './stack.ts'
import { memoryMb } from './workers.ts'

/** Resident memory of the built executables at rest, beside a bare process of the same runtime. */

const REST_MS = 15_000
const SAMPLES = 5
const SAMPLE_EVERY_MS = 1_000
const MANY = 5_000
const AGENT_BUDGET_MB = 45
const AGENT_MANY_BUDGET_MB = 80
const MASTER_BUDGET_MB = 120

export async function benchMemory(): Promise<Result[]> {
  const floor = await bareProcess()
  const stack = await startStack()
  try {
    const lines = (what: string, measured: Memory, budget: number): Result[] => [
      { what, unit: 'MB', measured: measured.resident, floor: floor.resident, budget },
      {
        what: '  of it not pages of the executable',
        unit: 'MB',
        measured: measured.own,
        floor: floor.own,
        budget: null,
      },
    ]
    const master = lines('master after start', await atRest(stack.pid('master')), MASTER_BUDGET_MB)
    mkdirSync(stack.settings.paths.www, { recursive: true })
    const upstream_id = await makeUpstream(stack)
    await makeVirtualHosts(stack, 0, 1, upstream_id)
    await stack.startAgent()
    const one = lines('agent at rest, 1 virtual host', await settledAgent(stack), AGENT_BUDGET_MB)
    await makeVirtualHosts(stack, 1, MANY, upstream_id)
    const many = lines(
      `agent at rest, ${MANY} virtual hosts`,
      await settledAgent(stack),
      AGENT_MANY_BUDGET_MB,
    )
    return [...master, ...one, ...many]
  } finally {
    await stack.stop()
  }
}

/** After the last deployment has ended. */
async function settledAgent(stack: Stack): Promise<Memory> {
  for (;;) {
    const { data } = await stack.client.call('deployments_list', {
      query: { workspace_id: stack.workspace_id, per_page: 1 },
    })
    if (data[0]?.state === 'applied') return await atRest(stack.pid('agent'))
    await pause(SAMPLE_EVERY_MS)
  }
}

interface Memory {
  readonly resident: number
  readonly own: number
}

async function atRest(pid: number): Promise<Memory> {
  await pause(REST_MS)
  const samples: Memory[] = []
  for (let i = 0; i < SAMPLES; i++) {
    samples.push(memoryMb(pid))
    await pause(SAMPLE_EVERY_MS)
  }
  return { resident: median(samples.map(one => one.resident)), own: median(samples.map(one => one.own)) }
}

/** An executable that does nothing but wait. */
async function bareProcess(): Promise<Memory> {
  const dir = mkdtempSync(join(tmpdir(), 'nxmesh-bare-'))
  try {
    const [source, executable] = [join(dir, 'bare.ts'), join(dir, 'bare')]
    writeFileSync(source, 'setInterval(() => {}, 60_000)\n')
    const built = spawnSync(process.execPath, [
      'build',
      source,
      '--compile',
      '--minify',
      '--outfile',
      executable,
    ])
    if (built.status !== 0) throw new Error(`bun build failed: ${built.stderr}`)
    const child = spawn(executable, { stdio: 'ignore' })
    try {
      return await atRest(child.pid ?? 0)
    } finally {
      child.kill('SIGKILL')
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
