import { dirname, isAbsolute, join } from 'node:path'
import { type NginxBuild, parseNginxV } from '@nxmesh/nginx/output'
import { type Directive, parseConfig } from '@nxmesh/nginx/parser'
import { runCommand } from '../host/commands.ts'
import { exists, identityOf, readText } from '../host/files.ts'
import { AGENT_LIMITS } from '../limits.ts'

/** The `nginx:` part of the agent's configuration. */
export interface NginxSettings {
  readonly binary: string | null
  readonly conf_path: string | null
  readonly conf_d_path: string | null
  readonly prefix: string | null
  readonly pid_path: string | null
  readonly error_log_path: string | null
  /** Address that sites bind to; null for every address. */
  readonly listen_address: string | null
  /** Loopback TCP port of the status server; 0 chooses one when nginx is taken over. */
  readonly status_port: number
  /** Where sites may read files from; null for the default of the local allow-list. */
  readonly allowed_roots: readonly string[] | null
  /** Whether `join` and `run` start an nginx that does not run. */
  readonly start: boolean
}

/** One nginx on this host: where its parts lie. All paths absolute. */
export interface Installation {
  readonly binary: string
  readonly conf_path: string
  readonly conf_d_path: string
  readonly prefix: string
  readonly build: NginxBuild
  readonly settings: NginxSettings
}

/** nginx, or what the agent must know of it, is not as it must be. Fit for the operator. */
export class NginxError extends Error {
  override readonly name = 'NginxError'
}

const USUAL_BINARIES = [
  '/usr/sbin/nginx',
  '/usr/local/sbin/nginx',
  '/usr/local/nginx/sbin/nginx',
  '/usr/bin/nginx',
]

/** @throws NginxError when there is no nginx, or it does not say what it is */
export async function locateNginx(settings: NginxSettings): Promise<Installation> {
  const binary = settings.binary ?? USUAL_BINARIES.find(exists)
  if (binary === undefined) throw new NginxError('there is no nginx here; set nginx.binary')
  const build = await readBuild(binary)
  const prefix = settings.prefix ?? build.prefix
  const conf_path = absolute(settings.conf_path ?? build.conf_path, prefix)
  const conf_d_path = absolute(settings.conf_d_path ?? join(dirname(conf_path), 'conf.d'), prefix)
  return { binary, build, prefix, conf_path, conf_d_path, settings }
}

export async function readBuild(binary: string): Promise<NginxBuild> {
  const { output } = await runCommand(binary, ['-V'], AGENT_LIMITS.nginx_facts_max_ms).catch(() => {
    throw new NginxError(`${binary} cannot be run`)
  })
  const build = parseNginxV(output)
  if (build === null) throw new NginxError(`${binary} -V does not answer as nginx does`)
  return build
}

/** Changes when the executable is replaced. */
export function binaryIdentity({ binary }: Installation): string {
  const identity = identityOf(binary)
  return identity === null ? '' : `${identity.inode} ${identity.size} ${identity.modified_ms}`
}

/** @throws NginxError when it is not there */
export function readConf({ conf_path }: Installation): string {
  const text = readText(conf_path)
  if (text === null) throw new NginxError(`${conf_path} is missing`)
  return text
}

/** Arguments that make every call use this configuration. */
export function confArgs({ settings, prefix }: Installation, conf_path: string): string[] {
  return settings.prefix === null ? ['-c', conf_path] : ['-p', prefix, '-c', conf_path]
}

export function pidPath(installation: Installation): string {
  const { settings, build, prefix } = installation
  return absolute(
    settings.pid_path ?? mainArgument(readConf(installation), 'pid', 0) ?? build.pid_path,
    prefix,
  )
}

/** The last file that main's `error_log` names; null when none does, or it is no file. */
export function configuredErrorLog(installation: Installation): string | null {
  const path = mainArgument(readConf(installation), 'error_log', 0)
  if (path === null || /^(stderr$|syslog:|memory:)/.test(path) || path === '/dev/null') return null
  return absolute(path, installation.prefix)
}

function mainArgument(text: string, name: string, index: number): string | null {
  const found = topDirectives(text).findLast(directive => directive.name === name)
  return found?.args[index]?.value ?? null
}

// nginx.conf is read at each apply and hardly ever changes.
let parsed: { text: string; directives: readonly Directive[] } | null = null
function topDirectives(text: string): readonly Directive[] {
  if (parsed?.text !== text) parsed = { text, directives: parseConfig(text).directives }
  return parsed.directives
}

function absolute(path: string, base: string): string {
  return isAbsolute(path) ? path : join(base, path)
}
