import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  DEFAULT_CONFIG_FILE,
  DEFAULTS,
  flagOf,
  OPTIONS,
  type Option,
  type OptionKey,
  variableOf,
} from './config-options.ts'
import { errorCode, readText } from './host/files.ts'
import { AGENT_LIMITS } from './limits.ts'
import { isKeyPin } from './link/address.ts'
import type { LogLevel } from './log.ts'
import type { NginxSettings } from './nginx/installation.ts'

export interface AgentConfig {
  /** Null: needed only to join. */
  readonly master_url: string | null
  readonly token: string | null
  readonly ca_fingerprint: string | null
  /** What the master's key must be; empty: any. Null: what the identity says. */
  readonly server_key_pins: readonly string[] | null
  readonly state_dir: string
  readonly name: string | null
  readonly log_level: LogLevel
  readonly nginx: NginxSettings
}

/** A setting that cannot be used; names the setting and where it came from. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export interface ConfigSources {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

interface Found {
  readonly text: string
  readonly origin: string
}
type Values = Map<OptionKey, Found>

/**
 * Reads the settings: flags over `NXMESH_*` environment over YAML file over defaults.
 * @returns the configuration and the arguments that are no flags
 * @throws ConfigError, also for keys that do not exist
 */
export async function loadConfig(sources: ConfigSources): Promise<{ config: AgentConfig; rest: string[] }> {
  const { values, positionals } = readFlags(sources.args)
  const found: Values = new Map()
  for (const [key, text] of Object.entries(DEFAULTS)) found.set(key as OptionKey, { text, origin: 'default' })
  const named = values.config ?? sources.env.NXMESH_CONFIG
  await readConfigFile(found, named ?? DEFAULT_CONFIG_FILE, named !== undefined)
  for (const option of OPTIONS) {
    const variable = variableOf(option.key)
    takeValue(found, option, variable, name => sources.env[name], `${variable}_FILE`)
    const flag = flagOf(option.key)
    takeValue(found, option, flag, name => values[name], `${flag}-file`)
  }
  return { config: toConfig(found), rest: positionals }
}

function readFlags(args: readonly string[]): {
  values: Record<string, string | undefined>
  positionals: string[]
} {
  const options: Record<string, { type: 'string' }> = { config: { type: 'string' } }
  for (const option of OPTIONS) {
    options[flagOf(option.key)] = { type: 'string' }
    if ('secret' in option) options[`${flagOf(option.key)}-file`] = { type: 'string' }
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    // What follows the first sentence of the runtime's message is about positional arguments.
    const [why] = (error instanceof Error ? error.message : String(error)).split('. ', 1)
    throw new ConfigError(`${why}; nxmesh-agent --help lists the settings`)
  }
}

/** From one source: the value itself, or for secrets the content of a file. */
function takeValue(
  found: Values,
  option: Option,
  name: string,
  read: (name: string) => string | undefined,
  file_name: string,
): void {
  const text = read(name)
  const file = option.secret === true ? read(file_name) : undefined
  if (text !== undefined && file !== undefined) throw new ConfigError(`${name} and ${file_name} are both set`)
  if (text !== undefined) found.set(option.key as OptionKey, { text, origin: name })
  if (file !== undefined)
    found.set(option.key as OptionKey, { text: readSecret(file, file_name), origin: file_name })
}

function readSecret(path: string, origin: string): string {
  const text = readOrNull(path)
  if (text === null) throw new ConfigError(`${path} (from ${origin}) cannot be read`)
  return text.trim()
}

function readOrNull(path: string): string | null {
  try {
    return readText(path)
  } catch (error) {
    throw new ConfigError(`${path} cannot be read: ${errorCode(error) ?? 'unknown error'}`)
  }
}

async function readConfigFile(found: Values, path: string, is_required: boolean): Promise<void> {
  const text = readOrNull(path)
  if (text === null) {
    if (is_required) throw new ConfigError(`the configuration file ${path} does not exist`)
    return
  }
  const { parse } = await import('yaml')
  let document: unknown
  try {
    document = parse(text)
  } catch (error) {
    throw new ConfigError(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const flat = flatten(document, path)
  for (const option of OPTIONS) {
    takeValue(found, option, option.key, name => take(flat, name), `${option.key}_file`)
  }
  const [unknown] = flat.keys()
  if (unknown !== undefined) throw new ConfigError(`${path}: there is no setting ${unknown}`)
}

function take(flat: Map<string, string>, name: string): string | undefined {
  const value = flat.get(name)
  flat.delete(name)
  return value
}

function flatten(document: unknown, path: string, prefix = ''): Map<string, string> {
  const flat = new Map<string, string>()
  if (document === null || document === undefined) return flat
  if (typeof document !== 'object' || Array.isArray(document))
    throw new ConfigError(`${path}: must hold settings by name`)
  for (const [name, value] of Object.entries(document)) {
    const key = `${prefix}${name}`
    if (Array.isArray(value)) flat.set(key, value.join(','))
    else if (typeof value === 'object' && value !== null) {
      for (const [inner, text] of flatten(value, path, `${key}.`)) flat.set(inner, text)
    } else if (value !== null) flat.set(key, String(value))
  }
  return flat
}

function toConfig(found: Values): AgentConfig {
  const text = (key: OptionKey) => {
    const one = found.get(key)
    if (one?.text === '') throw wrong(one, key, 'must not be empty')
    return one?.text ?? null
  }
  const path = (key: OptionKey) => {
    const value = text(key)
    return value === null ? null : resolve(value)
  }
  return {
    master_url: toMasterUrl(found, text('master_url')),
    token: text('token'),
    ca_fingerprint: text('ca_fingerprint'),
    server_key_pins: toPins(found, text('server_key_pin')),
    state_dir: path('state_dir') ?? '',
    name: text('name'),
    log_level: toLevel(found, text('log_level')),
    nginx: {
      binary: path('nginx.binary'),
      conf_path: path('nginx.conf_path'),
      conf_d_path: path('nginx.conf_d_path'),
      prefix: path('nginx.prefix'),
      pid_path: path('nginx.pid_path'),
      error_log_path: path('nginx.error_log_path'),
      listen_address: toAddress(found, text('nginx.listen_address')),
      status_port: toPort(found, text('nginx.status_port')),
      allowed_roots:
        text('nginx.allowed_roots')
          ?.split(',')
          .map(one => resolve(one.trim())) ?? null,
      start: toFlag(found, text('nginx.start')),
    },
  }
}

function wrong(found: Found | undefined, key: OptionKey, why: string): ConfigError {
  return new ConfigError(`${key} ${why} (from: ${found?.origin ?? 'nowhere'})`)
}

function toMasterUrl(found: Values, text: string | null): string | null {
  if (text === null) return null
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol === 'https:' && url.pathname === '/' && !url.search && !url.hash && !url.username)
    return url.origin
  throw wrong(found.get('master_url'), 'master_url', 'must be https://host or https://host:port')
}

function toPins(found: Values, text: string | null): readonly string[] | null {
  if (text === null) return null
  if (text === 'none') return []
  const pins = text.split(',').map(one => one.trim())
  if (pins.length <= AGENT_LIMITS.server_key_pins && pins.every(isKeyPin)) return pins
  const why = `must be up to ${AGENT_LIMITS.server_key_pins} of sha256/<base64 of SHA-256>, separated by commas, or none`
  throw wrong(found.get('server_key_pin'), 'server_key_pin', why)
}

function toAddress(found: Values, text: string | null): string | null {
  if (text === null || isIP(text) !== 0) return text
  throw wrong(found.get('nginx.listen_address'), 'nginx.listen_address', 'must be an IP address')
}

function toPort(found: Values, text: string | null): number {
  const port = Number(text)
  if (text !== null && /^\d{1,5}$/.test(text) && port <= 65_535) return port
  throw wrong(found.get('nginx.status_port'), 'nginx.status_port', 'must be a port number')
}

function toFlag(found: Values, text: string | null): boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  throw wrong(found.get('nginx.start'), 'nginx.start', 'must be true or false')
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

function toLevel(found: Values, text: string | null): LogLevel {
  const level = LEVELS.find(one => one === text)
  if (level === undefined)
    throw wrong(found.get('log_level'), 'log_level', `must be one of ${LEVELS.join(', ')}`)
  return level
}
