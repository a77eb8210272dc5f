import { join, resolve } from 'node:path'
import { type Network, networksOf } from './addresses.ts'
import { OPTION_KEYS, OPTIONS, type Option, type OptionKey } from './config-options.ts'
import {
  ConfigError,
  type ConfigSources,
  type FoundValue,
  type FoundValues,
  findValues,
} from './config-values.ts'
import { MASTER_LIMITS } from './limits.ts'
import type { MasterKeySource } from './secrets/master-key.ts'

export { ConfigError } from './config-values.ts'

/** Port 0 means: any free one. */
export interface Address {
  readonly host: string
  readonly port: number
}

const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** What the master runs with; every path is absolute. */
export interface MasterConfig {
  readonly data_dir: string
  readonly listen: Address
  /** Loopback only; null: no plain listener. */
  readonly listen_plain: Address | null
  /** Without a slash at its end; null: made of the host's name and the port. */
  readonly public_url: string | null
  readonly server_names: readonly string[]
  readonly database_url: string
  /** Null: a certificate of the private CA. */
  readonly tls: { readonly certificate_file: string; readonly key_file: string } | null
  readonly master_key: MasterKeySource
  /** Ranges that `Outgoing` reaches though they are not public. */
  readonly outgoing_allow: readonly Network[]
  /** Whose X-Forwarded-For counts. */
  readonly trusted_proxies: readonly Network[]
  readonly agent_keys: { readonly max_age_days: number; readonly grace_s: number }
  readonly log_level: LogLevel
}

/** Reads the settings: flags over environment over file over defaults. Throws `ConfigError`. */
export async function loadConfig(sources: ConfigSources): Promise<MasterConfig> {
  return toConfig(await findValues(sources))
}

/** One line for each setting: `key: value`, secrets masked, with `origin` where it came from. */
export async function printConfig(sources: ConfigSources, origin: boolean): Promise<string> {
  const found = await findValues(sources)
  // What cannot be used is not printed as if it could.
  toConfig(found)
  const keys = [...OPTION_KEYS, 'master_key_file' as const].filter(
    key => found[key] || key !== 'master_key_file',
  )
  return keys.map(key => printed(key, found[key], origin)).join('\n')
}

function printed(key: OptionKey | 'master_key_file', value: FoundValue | undefined, origin: boolean): string {
  const secret = key !== 'master_key_file' && (OPTIONS[key] as Option).secret === true
  const text = value === undefined ? 'null' : secret ? '********' : JSON.stringify(value.text)
  return `${key}: ${text}${origin ? `  # ${value?.origin ?? 'not set'}` : ''}`
}

function toConfig(found: FoundValues): MasterConfig {
  const data_dir = resolve(required(found, 'data_dir'))
  const text = (key: OptionKey) => found[key]?.text ?? null
  return {
    data_dir,
    listen: toAddress(found, 'listen', required(found, 'listen')),
    listen_plain: toLoopback(found),
    public_url: toPublicUrl(found),
    server_names: toList(found, 'server_names'),
    database_url: toDatabaseUrl(found) ?? `sqlite:${join(data_dir, 'master.db')}`,
    tls: toTls(found),
    master_key: {
      value: text('master_key'),
      command: text('master_key_command'),
      file: resolve(found.master_key_file?.text ?? join(data_dir, 'master.key')),
      may_create: found.master_key_file === undefined,
    },
    outgoing_allow: toNetworks(found, 'outgoing.allow'),
    trusted_proxies: toNetworks(found, 'trusted_proxies'),
    agent_keys: {
      max_age_days: toNumber(found, 'agent_keys.max_age_days', MASTER_LIMITS.agent_key_max_age_days),
      grace_s: toNumber(found, 'agent_keys.grace_s', MASTER_LIMITS.agent_key_grace_max_s),
    },
    log_level: toLogLevel(found),
  }
}

const toList = (found: FoundValues, key: OptionKey): string[] =>
  (found[key]?.text ?? '')
    .split(',')
    .map(one => one.trim())
    .filter(one => one !== '')

function toNetworks(found: FoundValues, key: OptionKey): readonly Network[] {
  const list = toList(found, key)
  if (list.length > MASTER_LIMITS.networks_in_setting)
    throw wrong(found, key, `must hold at most ${MASTER_LIMITS.networks_in_setting} networks`)
  return list.flatMap(one => {
    try {
      return networksOf([one])
    } catch (error) {
      throw wrong(found, key, `has "${one}": ${(error as Error).message}`)
    }
  })
}

function toNumber(found: FoundValues, key: OptionKey, max: number): number {
  const number = Number(required(found, key))
  if (Number.isInteger(number) && number >= 1 && number <= max) return number
  throw wrong(found, key, `must be a whole number from 1 to ${max}`)
}

function required(found: FoundValues, key: OptionKey): string {
  const value = found[key]
  if (!value || value.text === '') throw wrong(found, key, 'must not be empty')
  return value.text
}

function wrong(found: FoundValues, key: OptionKey, why: string): ConfigError {
  const origin = found[key]?.origin
  return new ConfigError(`${key} ${why}${origin === undefined ? '' : ` (from: ${origin})`}.`)
}

function toAddress(found: FoundValues, key: OptionKey, text: string): Address {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:]*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (!parts || port > 65_535) throw wrong(found, key, 'must be address:port, e.g. 0.0.0.0:8443 or [::]:8443')
  return { host: parts[1] ?? (parts[2] || '0.0.0.0'), port }
}

/** The URL itself stays out of the error: it may hold a password. */
function toDatabaseUrl(found: FoundValues): string | null {
  const url = found['database.url']?.text
  if (url === undefined || /^(sqlite:.|postgres(ql)?:\/\/)/.test(url)) return url ?? null
  throw wrong(found, 'database.url', 'must be sqlite:<path>, postgres://… or postgresql://…')
}

function toLoopback(found: FoundValues): Address | null {
  const text = found.listen_plain?.text
  if (!text) return null
  const address = toAddress(found, 'listen_plain', text)
  if (!/^(localhost|::1|127(\.\d{1,3}){3})$/.test(address.host)) {
    throw wrong(
      found,
      'listen_plain',
      'must be a loopback address: passwords and keys would cross the network in the clear',
    )
  }
  return address
}

function toPublicUrl(found: FoundValues): string | null {
  const text = found.public_url?.text
  if (!text) return null
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol !== 'https:' || url.pathname !== '/' || url.search || url.hash || url.username) {
    throw wrong(found, 'public_url', 'must be https://host or https://host:port')
  }
  return url.origin
}

function toTls(found: FoundValues): MasterConfig['tls'] {
  const certificate = found['tls.certificate_file']?.text
  const key = found['tls.key_file']?.text
  if (!certificate && !key) return null
  if (!certificate) throw wrong(found, 'tls.certificate_file', 'is needed beside tls.key_file')
  if (!key) throw wrong(found, 'tls.key_file', 'is needed beside tls.certificate_file')
  return { certificate_file: resolve(certificate), key_file: resolve(key) }
}

function toLogLevel(found: FoundValues): LogLevel {
  const level = LOG_LEVELS.find(one => one === found['log.level']?.text)
  if (!level) throw wrong(found, 'log.level', `must be one of ${LOG_LEVELS.join(', ')}`)
  return level
}
