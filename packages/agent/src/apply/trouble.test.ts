import { afterEach, describe, expect, test } from 'bun:test'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { swapLink } from '../host/files.ts'
import { readProcess } from '../host/processes.ts'
import { pollUntil } from '../poll.ts'
import { frame, makeBundle, makeTestAgent, site, type TestAgent } from '../testing/agent.ts'
import { makePrivateNginx, type PrivateNginx, type PrivateNginxOptions } from '../testing/private-nginx.ts'

const undo: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nxmesh-trouble-'))
  undo.push(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** An executable that is nginx until the file `hang` lies beside it; then `-t` never ends. */
function hangingNginx(): { binary: string; hang: () => void } {
  const folder = temporary()
  const binary = join(folder, 'nginx')
  const script = `#!/bin/sh\nif [ "$1" = -t ] && [ -e ${folder}/hang ]; then sleep 600; fi\nexec /usr/sbin/nginx "$@"\n`
  writeFileSync(binary, script, { mode: 0o755 })
  return { binary, hang: () => writeFileSync(join(folder, 'hang'), '') }
}

/** Mounting is for root; elsewhere these cases are skipped by name. */
const may_mount = process.getuid?.() === 0

function mount(args: string[], unmount: string | null): void {
  const result = Bun.spawnSync(['mount', ...args])
  if (result.exitCode !== 0) throw new Error(`cannot mount: ${result.stderr}`)
  if (unmount !== null) undo.push(() => Bun.spawnSync(['umount', unmount]))
}

function fillUp(path: string): void {
  try {
    for (;;) appendFileSync(path, Buffer.alloc(4_096))
  } catch {
    // Full now.
  }
}

interface Scene {
  readonly nginx: PrivateNginx
  readonly agent: TestAgent
}

async function setScene(options: PrivateNginxOptions = {}): Promise<Scene> {
  const nginx = await makePrivateNginx(options)
  undo.push(() => nginx.close())
  await nginx.start()
  const agent = await makeTestAgent(nginx)
  undo.push(() => agent.close())
  const bundle = bundleOf(nginx, 'one')
  await agent.prepare(1, bundle)
  expect((await agent.commit(1, bundle)).type).toBe('serving')
  await agent.agent.orders.idle()
  return { nginx, agent }
}

const bundleOf = ({ port }: PrivateNginx, header: string) =>
  makeBundle([...frame(port), site(1, port, header)])
const folders = ({ nginx }: Scene) =>
  readdirSync(join(nginx.folder, 'conf.d')).filter(name => /^\d{14}/.test(name))
const statusText = ({ nginx }: Scene) =>
  readFileSync(join(nginx.folder, 'conf.d/current/status/status.conf'), 'utf8')
const served = async ({ nginx }: Scene) =>
  (
    await fetch(`http://127.0.0.1:${nginx.port}/`, {
      headers: { host: 's1.example.com', connection: 'close' },
    })
  ).headers.get('x-site')

describe('prepare answers unable, and nothing live is touched,', () => {
  test('when nginx -t hangs; what hung is ended', async () => {
    const { binary, hang } = hangingNginx()
    const scene = await setScene({ binary })
    const before = folders(scene)
    hang()
    const message = { ...scene.agent.prepareMessage(2, bundleOf(scene.nginx, 'two')), deadline_ms: 500 }
    scene.agent.agent.orders.prepare(message)
    const objects = [...bundleOf(scene.nginx, 'two').objects].map(([hash, json]) => ({ hash, json }))
    scene.agent.agent.orders.objects({ type: 'objects', deployment_id: message.deployment_id, objects })
    expect((await scene.agent.next(2, 'unable')).message).toContain('nginx -t did not end')
    const sleepers = () =>
      readdirSync('/proc')
        .map(Number)
        .filter(pid => readProcess(pid)?.title.includes(`${binary} -t`))
    expect(await pollUntil(() => (sleepers().length === 0 ? true : null), 5_000)).toBe(true)
    await scene.agent.agent.orders.idle()
    expect(folders(scene)).toEqual(before)
    expect(await served(scene)).toBe('one')
  }, 20_000)

  test('when its objects do not come in time', async () => {
    const scene = await setScene()
    const message = { ...scene.agent.prepareMessage(2, bundleOf(scene.nginx, 'two')), deadline_ms: 300 }
    scene.agent.agent.orders.prepare(message)
    expect((await scene.agent.next(2, 'unable')).message).toContain('did not come in time')
  })

  test('when nginx does not run', async () => {
    const scene = await setScene()
    const master = scene.nginx.master()
    process.kill(master?.pid ?? 0, 'SIGTERM')
    await pollUntil(() => (readProcess(master?.pid ?? 0) === null ? true : null), 5_000)
    const answer = await scene.agent.prepare(2, bundleOf(scene.nginx, 'two'))
    expect(answer).toMatchObject({ type: 'unable', message: 'nginx is not running' })
  })

  test.skipIf(!may_mount)('when the disk is full', async () => {
    const folder = temporary()
    mount(['-t', 'tmpfs', '-o', 'size=2m,mode=755', 'tmpfs', folder], folder)
    const scene = await setScene({ folder })
    fillUp(join(folder, 'junk'))
    const answer = await scene.agent.prepare(2, bundleOf(scene.nginx, 'two'))
    expect(answer).toMatchObject({ type: 'unable', message: 'the disk is full' })
    expect(await served(scene)).toBe('one')
    unlinkSync(join(folder, 'junk'))
    const bundle = bundleOf(scene.nginx, 'three')
    await scene.agent.prepare(3, bundle)
    expect((await scene.agent.commit(3, bundle)).type).toBe('serving')
  })

  test.skipIf(!may_mount)('when the disk is read-only', async () => {
    const scene = await setScene()
    const conf_d = join(scene.nginx.folder, 'conf.d')
    mount(['--bind', conf_d, conf_d], conf_d)
    mount(['-o', 'remount,ro,bind', conf_d], null)
    const answer = await scene.agent.prepare(2, bundleOf(scene.nginx, 'two'))
    expect(answer).toMatchObject({ type: 'unable', message: 'the disk is read-only' })
    expect(await served(scene)).toBe('one')
  })
})

/** Somebody else's process, which a signal for nginx would end. */
function bystander(): string {
  const child = Bun.spawn(['sleep', '600'])
  undo.push(() => child.kill('SIGKILL'))
  return `${child.pid}\n`
}

test('a site on the port by which serving is proved is rejected before anything is touched', async () => {
  const scene = await setScene()
  const port = Number(/listen 127\.0\.0\.1:(\d+);/.exec(statusText(scene))?.[1])
  const bundle = makeBundle([...frame(scene.nginx.port), { kind: 'listener', port }, site(1, port, 'two')])
  const answer = await scene.agent.prepare(2, bundle)
  expect(answer).toMatchObject({ type: 'rejected', error: { resource: { kind: 'virtual_host' } } })
  expect(await served(scene)).toBe('one')
})

describe('the agent finds the master process of nginx', () => {
  for (const [what, text] of [
    ['is empty', () => ''],
    ['holds 0', () => '0\n'],
    ['holds the number of another process', bystander],
    ['holds 1', () => '1\n'],
  ] as const) {
    test(`when the pid file ${what}, and signals nobody else`, async () => {
      const scene = await setScene()
      const written = text()
      writeFileSync(join(scene.nginx.folder, 'nginx.pid'), written)
      const master = scene.nginx.master()
      expect(master).toBeNull()
      const bundle = bundleOf(scene.nginx, 'two')
      await scene.agent.prepare(2, bundle)
      expect((await scene.agent.commit(2, bundle)).type).toBe('serving')
      expect(await served(scene)).toBe('two')
      if (text === bystander) expect(readProcess(Number(written))).not.toBeNull()
    })
  }
})

test('a symlink that someone put at a temporary name is not followed', () => {
  const folder = temporary()
  const victim = join(folder, 'victim')
  writeFileSync(victim, 'mine')
  symlinkSync(victim, join(folder, 'current.tmp'))
  symlinkSync(victim, join(folder, 'current'))
  swapLink(join(folder, 'current'), 'target')
  expect(readlinkSync(join(folder, 'current'))).toBe('target')
  expect(readFileSync(victim, 'utf8')).toBe('mine')
  expect(readdirSync(folder).sort()).toEqual(['current', 'current.tmp', 'victim'])
})

test('a folder of deployments that others may write is not made live', async () => {
  const scene = await setScene()
  const bundle = bundleOf(scene.nginx, 'two')
  await scene.agent.prepare(2, bundle)
  chmodSync(join(scene.nginx.folder, 'conf.d'), 0o777)
  const answer = await scene.agent.commit(2, bundle)
  expect(answer).toMatchObject({
    type: 'failed',
    error: { message: expect.stringContaining('can be written by others') },
  })
  expect(await served(scene)).toBe('one')
})

test('a current link that was lost is put back at the next start', async () => {
  const scene = await setScene()
  await scene.agent.agent.close()
  const link = join(scene.nginx.folder, 'conf.d/current')
  const target = readlinkSync(link)
  unlinkSync(link)
  const again = await makeTestAgent(scene.nginx, { state_dir: scene.agent.state_dir })
  undo.push(() => again.close())
  await again.agent.orders.idle()
  expect(existsSync(link)).toBe(true)
  expect(readlinkSync(link)).toBe(target)
})
