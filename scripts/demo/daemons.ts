import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Children } from './children.ts'
import { makeNginxFiles } from './nginx-files.ts'
import type { DemoSettings } from './settings.ts'
import { until } from './until.ts'

/** The three processes of a demo, each with its own folder below the demo's. */

const MASTER_DEADLINE_MS = 60_000
const ROOT = join(import.meta.dir, '../..')

/** How to call the two executables. */
export interface Executables {
  readonly master: readonly string[]
  readonly agent: readonly string[]
}

const entry = (name: string) => [process.execPath, '--no-env-file', join(ROOT, 'bin', name)]
export const fromSource: Executables = { master: entry('nxmesh.ts'), agent: entry('nxmesh-agent.ts') }
/** As `npm run build` makes them. */
export const fromDist: Executables = {
  master: [join(ROOT, 'dist/nxmesh')],
  agent: [join(ROOT, 'dist/nxmesh-agent')],
}

export function makeFolders({ paths }: DemoSettings): void {
  for (const folder of [paths.logs, paths.agent_state, paths.master_data])
    mkdirSync(folder, { recursive: true, mode: 0o700 })
}

/** Settings of ours in the reader's environment are not meant for the demo's processes. */
const childEnv = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('NXMESH_')))

/** What the master says at its start. */
export interface Greeting {
  readonly setup_token: string | null
  readonly ca_fingerprint: string
}

/** Resolves when the master is ready. */
export async function startMaster(
  settings: DemoSettings,
  children: Children,
  { master }: Executables,
): Promise<Greeting> {
  const told = { setup_token: null as string | null, ca_fingerprint: '' }
  children.start({
    name: 'master',
    command: [
      ...master,
      ...['master', 'run', '--data-dir', settings.paths.master_data],
      ...['--listen', `127.0.0.1:${settings.tls_port}`, '--listen-plain', `127.0.0.1:${settings.plain_port}`],
    ],
    cwd: settings.dir,
    env: childEnv(),
    end_signal: 'SIGTERM',
    on_line: line => {
      told.setup_token = /^ +setup token +(\S+)$/.exec(line)?.[1] ?? told.setup_token
      told.ca_fingerprint = /^ +CA fingerprint +(\S+)$/.exec(line)?.[1] ?? told.ca_fingerprint
    },
  })
  await until('the master’s start', MASTER_DEADLINE_MS, async () => {
    const ready = told.ca_fingerprint !== '' && (await fetch(`${settings.plain_url}/readyz`)).ok
    return ready || null
  })
  return told
}

/** In the foreground of its own process group, so that its end is seen. */
export function startNginx(settings: DemoSettings, children: Children): void {
  makeNginxFiles(settings)
  const prefix = settings.paths.nginx
  children.start({
    name: 'nginx',
    command: ['nginx', '-p', prefix, '-c', join(prefix, 'nginx.conf'), '-g', 'daemon off;'],
    cwd: prefix,
    env: childEnv(),
    end_signal: 'SIGTERM',
  })
}

export function startAgent(
  settings: DemoSettings,
  children: Children,
  { agent }: Executables,
  config: string,
): void {
  const command = [...agent, 'run', '--config', config]
  children.start({ name: 'agent', command, cwd: settings.dir, env: childEnv(), end_signal: 'SIGTERM' })
}
