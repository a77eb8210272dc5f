import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { allPids, isAlive, type ProcessId, readProcess, sendSignal } from '../host/processes.ts'
import { lastingLoopbackPort } from '../host/sockets.ts'
import { type Installation, locateNginx, type NginxSettings } from '../nginx/installation.ts'
import { findMaster } from '../nginx/master-process.ts'
import { startNginx } from '../nginx/start.ts'
import { pollUntil } from '../poll.ts'

/** A real nginx of its own in a temporary folder, for tests and benchmarks; never the host's service. */
export interface PrivateNginx {
  readonly folder: string
  readonly conf_path: string
  /** For sites that a test deploys. */
  readonly port: number
  readonly settings: NginxSettings
  readonly installation: Installation
  start(): Promise<ProcessId>
  /** The running master, or null. */
  master(): ProcessId | null
  /** One request on a connection of its own. */
  get(path: string, host: string, port?: number): Promise<{ status: number; body: string }>
  errorLog(): string
  /** Ends nginx and removes the folder. */
  close(): Promise<void>
}

export interface PrivateNginxOptions {
  /** In place of the default nginx.conf; `{folder}` and `{port}` are filled in. */
  readonly conf?: string
  readonly binary?: string
  /** In place of a temporary folder; then `close` leaves it. */
  readonly folder?: string
  readonly port?: number
  readonly workers?: number
}

const STOP_MAX_MS = 10_000

const DEFAULT_CONF = `worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {
    worker_connections 1024;
}
http {
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
}
`

export async function makePrivateNginx(options: PrivateNginxOptions = {}): Promise<PrivateNginx> {
  sweep()
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), PREFIX))
  mkdirSync(folder, { recursive: true })
  if (options.folder === undefined) writeFileSync(join(folder, OWNER), JSON.stringify(self()))
  const port = options.port ?? (await lastingLoopbackPort())
  const conf_path = join(folder, 'nginx.conf')
  writeFileSync(
    conf_path,
    fill(options.conf ?? DEFAULT_CONF, { folder, port, workers: options.workers ?? 1 }),
  )
  const settings: NginxSettings = {
    binary: options.binary ?? '/usr/sbin/nginx',
    conf_path,
    conf_d_path: null,
    prefix: folder,
    pid_path: null,
    error_log_path: null,
    listen_address: '127.0.0.1',
    status_port: 0,
    allowed_roots: null,
    start: false,
  }
  const installation = await locateNginx(settings)
  const master = () => findMaster(installation, null)
  const started: ProcessId[] = []
  return {
    folder,
    conf_path,
    port,
    settings,
    installation,
    master,
    async start() {
      const one = await startNginx(installation, null)
      started.push(one)
      return one
    },
    get: (path, host, at = port) => get(`http://127.0.0.1:${at}${path}`, host),
    errorLog: () => readFileSync(join(folder, 'error.log'), 'utf8'),
    async close() {
      // A test may have left a pid file that names nobody.
      for (const one of new Set([...started, ...mastersOf(folder)])) await stop(one)
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

function fill(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
}

async function get(url: string, host: string): Promise<{ status: number; body: string }> {
  const answer = await fetch(url, {
    headers: { host, connection: 'close' },
    redirect: 'manual',
    keepalive: false,
  })
  return { status: answer.status, body: await answer.text() }
}

/** By their command line, which names the folder. */
function mastersOf(folder: string): ProcessId[] {
  return allPids().flatMap(pid => {
    const facts = readProcess(pid)
    const title = facts?.title ?? ''
    return facts && title.startsWith('nginx: master') && `${title} `.includes(` ${folder} `)
      ? [{ pid: facts.pid, started: facts.started }]
      : []
  })
}

const PREFIX = 'nxmesh-nginx-'
const OWNER = 'owner.json'

/** Who made a folder. Numbers of processes mean something only within their namespace. */
interface Owner extends ProcessId {
  readonly namespace: string
}

function self(): Owner {
  const { pid } = process
  return { pid, started: readProcess(pid)?.started ?? 0, namespace: readlinkSync('/proc/self/ns/pid') }
}

let swept = false

/** Ends what tests left that were killed: nginx is a daemon, nothing else would end it. */
function sweep(): void {
  if (swept) return
  swept = true
  for (const name of readdirSync(tmpdir()).filter(one => one.startsWith(PREFIX))) {
    const folder = join(tmpdir(), name)
    const owner = ownerOf(folder)
    if (owner === null || owner.namespace !== self().namespace || isAlive(owner)) continue
    for (const one of mastersOf(folder)) sendSignal(one, 'SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}

function ownerOf(folder: string): Owner | null {
  try {
    return JSON.parse(readFileSync(join(folder, OWNER), 'utf8'))
  } catch {
    return null
  }
}

async function stop(master: ProcessId): Promise<void> {
  sendSignal(master, 'SIGTERM')
  await pollUntil(() => (isAlive(master) ? null : true), STOP_MAX_MS)
  if (isAlive(master)) throw new Error(`nginx ${master.pid} does not end`)
}
