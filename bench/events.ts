import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { EVENTS_PATH } from '@nxmesh/contract'
import { makeClient } from '@nxmesh/contract/client'
import { median, type Result } from './results.ts'
import { memoryMb } from './workers.ts'

/**
 * One change to 500 readers of events, from the request until the last has it, beside the same bytes to 500 bare WebSockets of
 * the same process; and what an idle reader costs the master.
 */

const READERS = 500
const READERS_A_KEY = 50
const IDLE_READERS = 1_500
const ROUNDS = 15
const REST_MS = 3_000
/** A flush of the gathering, so that each round begins with nothing under way. */
const BETWEEN_MS = 400
const KB_PER_MB = 1_024

interface Target {
  readonly base_url: string
  readonly floor_url: string
  readonly token: string
  readonly api_keys: readonly string[]
  readonly workspace_id: string
  readonly pid: number
}

export async function benchEvents(): Promise<Result[]> {
  const dir = mkdtempSync(join(tmpdir(), 'nxmesh-bench-events-'))
  const [certificate, key] = makeCertificate(dir)
  const script = join(import.meta.dir, 'events-target.ts')
  const child = spawn(process.execPath, ['--no-env-file', script, join(dir, 'data'), certificate, key], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const target = await announced(child)
    const ca = readFileSync(certificate, 'utf8')
    const idle_mb = await idleReaders(target, ca)
    const fan_out = await fanOut(target, ca)
    return [
      fan_out,
      {
        what: `${IDLE_READERS} idle readers of events`,
        unit: 'MB',
        measured: idle_mb,
        floor: null,
        budget: null,
      },
    ]
  } finally {
    child.stdin?.end()
    await once(child, 'exit')
    rmSync(dir, { recursive: true, force: true })
  }
}

/** What the process grows by, with one subscription on each socket. */
async function idleReaders({ base_url, api_keys, pid }: Target, ca: string): Promise<number> {
  // What the first sockets load is not counted to the others.
  const all = await openAll(base_url, ca, api_keys.slice(-2), READERS_A_KEY)
  await pause(REST_MS)
  const before = memoryMb(pid).resident
  all.push(...(await openAll(base_url, ca, api_keys.slice(0, IDLE_READERS / READERS_A_KEY), READERS_A_KEY)))
  await pause(REST_MS)
  const grown_mb = memoryMb(pid).resident - before
  for (const one of all) one.close()
  await pause(REST_MS)
  console.log(`events: ${((grown_mb * KB_PER_MB) / IDLE_READERS).toFixed(1)} KB for each idle reader`)
  return grown_mb
}

async function fanOut(target: Target, ca: string): Promise<Result> {
  const keys = target.api_keys.slice(0, READERS / READERS_A_KEY)
  const readers = await openAll(target.base_url, ca, keys, READERS_A_KEY)
  const bare = await openAll(target.floor_url, ca, [''], READERS)
  const client = makeClient({ base_url: target.base_url, ca, token: target.token })
  const measured: number[] = []
  const floor: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await pause(BETWEEN_MS)
    const mark = `round-${round}`
    const body = { workspace_id: target.workspace_id, name: mark }
    const texts = await timed(measured, readers, mark, () => client.call('agents_create', { body }))
    await pause(BETWEEN_MS)
    const init = { method: 'POST', body: texts, tls: { ca } }
    await timed(floor, bare, mark, () => fetch(target.floor_url, init))
  }
  for (const one of [...readers, ...bare]) one.close()
  return {
    what: `a change to ${READERS} readers of events`,
    unit: 'ms',
    measured: median(measured),
    floor: median(floor),
    budget: null,
    samples: { measured, floor },
  }
}

/** From the request until the last of the sockets has a message with the mark; answers the message. */
async function timed(
  into: number[],
  sockets: readonly WebSocket[],
  mark: string,
  work: () => Promise<unknown>,
): Promise<string> {
  const done = Promise.withResolvers<string>()
  let left = sockets.length
  for (const socket of sockets)
    socket.onmessage = ({ data }) => {
      const text = String(data)
      if (!text.includes(mark)) return
      socket.onmessage = null
      left -= 1
      if (left === 0) done.resolve(text)
    }
  const began_ms = performance.now()
  void work()
  const text = await done.promise
  into.push(performance.now() - began_ms)
  return text
}

async function openAll(url: string, ca: string, keys: readonly string[], each: number): Promise<WebSocket[]> {
  const all: WebSocket[] = []
  for (const key of keys)
    all.push(...(await Promise.all(Array.from({ length: each }, () => openOne(url, ca, key)))))
  return all
}

/** With a key: logged in and subscribed. */
async function openOne(url: string, ca: string, key: string): Promise<WebSocket> {
  const headers = key === '' ? {} : { authorization: `Bearer ${key}` }
  const socket = new WebSocket(url.replace('https:', 'wss:') + EVENTS_PATH, { headers, tls: { ca } } as never)
  const ready = Promise.withResolvers<WebSocket>()
  socket.onopen = () => {
    if (key === '') ready.resolve(socket)
    else socket.send(JSON.stringify({ type: 'subscribe', id: 'all', topic: 'agents' }))
  }
  socket.onmessage = ({ data }) => String(data).includes('subscribed') && ready.resolve(socket)
  socket.onclose = ({ code }) => ready.reject(new Error(`closed with ${code}`))
  return await ready.promise
}

async function announced(child: ChildProcess): Promise<Target> {
  if (!child.stdout) throw new Error('the target has no output')
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line) as Target
  throw new Error('the target ended before it said where it listens')
}

function makeCertificate(dir: string): [certificate: string, key: string] {
  const [certificate, key] = [join(dir, 'certificate.pem'), join(dir, 'key.pem')]
  const options = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = spawnSync('openssl', ['req', ...options, ...names, '-keyout', key, '-out', certificate])
  if (made.status !== 0) throw new Error(`openssl failed: ${made.stderr}`)
  return [certificate, key]
}
