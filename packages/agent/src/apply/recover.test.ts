import { afterEach, describe, expect, test } from 'bun:test'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentMessage } from '@nxmesh/contract/channel/messages'
import { FAULT_STEPS, type FaultStep } from '../faults.ts'
import { readProcess } from '../host/processes.ts'
import { lastingLoopbackPort } from '../host/sockets.ts'
import { readMarker } from '../nginx/marker.ts'
import { pollUntil } from '../poll.ts'
import { frame, makeBundle, makeTestAgent, site, type TestAgent, type TestBundle } from '../testing/agent.ts'
import { makePrivateNginx, type PrivateNginx } from '../testing/private-nginx.ts'

const WAIT_MS = 20_000
const undo: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

interface Scene {
  readonly nginx: PrivateNginx
  readonly state_dir: string
  readonly old: TestBundle
  readonly next: TestBundle
}

/** An nginx that serves `old`, by an agent that has ended. */
async function setScene(next_port?: number): Promise<Scene> {
  const nginx = await makePrivateNginx()
  undo.push(() => nginx.close())
  await nginx.start()
  const root = mkdtempSync(join(tmpdir(), 'nxmesh-kill-'))
  undo.push(() => rmSync(root, { recursive: true, force: true }))
  const state_dir = join(root, 'state')
  const old = makeBundle([...frame(nginx.port), site(1, nginx.port, 'old')])
  const port = next_port ?? nginx.port
  const more = next_port === undefined ? [] : [...frame(port).slice(0, 1), site(2, port, 'more')]
  const next = makeBundle([...frame(nginx.port), site(1, nginx.port, 'new'), ...more])
  const agent = await makeTestAgent(nginx, { state_dir })
  await agent.prepare(1, old)
  expect((await agent.commit(1, old)).type).toBe('serving')
  await agent.close()
  return { nginx, state_dir, old, next }
}

/** Has an agent in a process of its own apply `next` until it stops at a step, and kills it there. */
async function killAt(
  step: FaultStep,
  { nginx, state_dir, next }: Scene,
  beforeCommit?: () => Promise<void>,
) {
  const env = { ...process.env, NXMESH_FAULTS: '1', NXMESH_TEST_STOP_AT: step }
  const options = JSON.stringify({ state_dir, nginx: nginx.settings })
  const driver = join(import.meta.dir, '../testing/driver.ts')
  const child = spawn(process.execPath, [driver, options], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  undo.push(() => child.kill('SIGKILL'))
  const heard = listen(child)
  const tell = (message: object) => child.stdin?.write(`${JSON.stringify(message)}\n`)
  const master = speaker()
  tell(master.prepare(2, next))
  tell({ type: 'objects', deployment_id: master.order(2).deployment_id, objects: objectsOf(next) })
  const isStopped = () => readProcess(child.pid ?? 0)?.state === 'T'
  await pollUntil(() => (isStopped() || heard.some(one => one.type === 'prepared') ? true : null), WAIT_MS)
  if (!isStopped()) {
    await beforeCommit?.()
    tell({ type: 'commit', ...master.order(2), bundle_hash: next.hash })
  }
  expect(await pollUntil(() => (isStopped() ? true : null), WAIT_MS)).toBe(true)
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

function listen(child: ChildProcess): AgentMessage[] {
  const heard: AgentMessage[] = []
  let half = ''
  child.stdout?.on('data', chunk => {
    const lines = (half + String(chunk)).split('\n')
    half = lines.pop() ?? ''
    for (const line of lines) heard.push(JSON.parse(line))
  })
  return heard
}

const objectsOf = (bundle: TestBundle) => [...bundle.objects].map(([hash, json]) => ({ hash, json }))

function speaker() {
  const order = (generation: number) => ({
    deployment_id: `01920000-0000-7000-8000-${(0xd000 + generation).toString(16).padStart(12, '0')}`,
    epoch: 1,
    generation,
  })
  const prepare = (generation: number, bundle: TestBundle) => ({
    type: 'prepare',
    ...order(generation),
    release_id: order(generation).deployment_id,
    release_number: generation,
    bundle_hash: bundle.hash,
    manifest: { base: null, put: bundle.manifest, remove: [] },
    object_count: bundle.objects.size,
    deadline_ms: 10_000,
  })
  return { order, prepare }
}

const served = async ({ nginx }: Scene) =>
  (
    await fetch(`http://127.0.0.1:${nginx.port}/`, {
      headers: { host: 's1.example.com', connection: 'close' },
    })
  ).headers.get('x-site')
const currentIsWhole = ({ nginx }: Scene) => existsSync(join(nginx.folder, 'conf.d/current/nxmesh.conf'))

async function restart(scene: Scene): Promise<TestAgent> {
  const agent = await makeTestAgent(scene.nginx, { state_dir: scene.state_dir })
  undo.push(() => agent.close())
  await agent.agent.orders.idle()
  return agent
}

const UNDECIDED: readonly FaultStep[] = ['receive', 'render', 'validate', 'prepared']
const SEPARATE: readonly FaultStep[] = ['committing', 'swap_back']
const DECIDED = FAULT_STEPS.filter(step => ![...UNDECIDED, ...SEPARATE].includes(step))

describe('an agent that is killed', () => {
  for (const step of UNDECIDED) {
    test(`before the decision, at ${step}, leaves the old configuration, and the order can be given again`, async () => {
      const scene = await setScene()
      await killAt(step, scene)
      expect(await served(scene)).toBe('old')
      const agent = await restart(scene)
      expect(await served(scene)).toBe('old')
      expect(agent.agent.orders.position().generation).toBe(1)
      expect((await agent.prepare(2, scene.next)).type).toBe('prepared')
      expect((await agent.commit(2, scene.next)).type).toBe('serving')
      expect(await served(scene)).toBe('new')
    }, 60_000)
  }

  for (const step of DECIDED) {
    test(`after the decision, at ${step}, finishes what was decided when it starts again`, async () => {
      const scene = await setScene()
      await killAt(step, scene)
      expect(currentIsWhole(scene)).toBe(true)
      expect(['old', 'new']).toContain((await served(scene)) ?? '')
      const agent = await restart(scene)
      expect(await served(scene)).toBe('new')
      expect(agent.agent.orders.position()).toMatchObject({ generation: 2, bundle_hash: scene.next.hash })
      const { status_port } = agent.agent.context.adoption
      expect((await readMarker(status_port))?.generation).toBe(2)
      expect((await agent.commit(2, scene.next)).type).toBe('serving')
      const left = readdirSync(join(scene.nginx.folder, 'conf.d')).filter(name => name.startsWith('.current'))
      expect(left).toEqual([])
    }, 60_000)
  }

  test('between the decision and the swap serves the old one, and the new one when it is told again', async () => {
    const scene = await setScene()
    await killAt('committing', scene)
    const agent = await restart(scene)
    expect(await served(scene)).toBe('old')
    expect(agent.agent.orders.position().generation).toBe(1)
    expect((await agent.commit(2, scene.next)).type).toBe('serving')
    expect(await served(scene)).toBe('new')
  }, 60_000)

  test('while it goes back to the old configuration goes on going back', async () => {
    const port = await lastingLoopbackPort()
    const scene = await setScene(port)
    const other = createServer()
    undo.push(() => new Promise(resolve => other.close(resolve)))
    await killAt('swap_back', scene, async () => {
      other.listen(port, '127.0.0.1')
      await new Promise(resolve => other.once('listening', resolve))
    })
    const agent = await restart(scene)
    expect(await served(scene)).toBe('old')
    expect(agent.agent.orders.position().generation).toBe(1)
    expect(await agent.commit(2, scene.next)).toMatchObject({ type: 'failed', swapped_back: true })
  }, 60_000)
})

test('nginx that is killed serves the deployed sites when it is started without the agent', async () => {
  const scene = await setScene()
  const master = scene.nginx.master()
  expect(master).not.toBeNull()
  const workers = readdirSync(`/proc`)
    .map(Number)
    .filter(pid => readProcess(pid)?.parent === master?.pid)
  for (const pid of [master?.pid ?? 0, ...workers]) process.kill(pid, 'SIGKILL')
  await pollUntil(() => (workers.every(pid => readProcess(pid) === null) ? true : null), WAIT_MS)
  await scene.nginx.start()
  expect(await served(scene)).toBe('old')
  expect(readlinkSync(join(scene.nginx.folder, 'conf.d/current'))).toMatch(/^\d{14}/)
})
