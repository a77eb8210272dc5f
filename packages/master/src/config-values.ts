import { readFileSync, statSync } from 'node:fs'
import {
  FOREIGN_VARIABLES,
  flagOf,
  OPTION_KEYS,
  OPTIONS,
  type Option,
  type OptionKey,
  variableOf,
} from './config-options.ts'
import { MASTER_LIMITS } from './limits.ts'

/** Settings that cannot be used: the message says which, where it came from and what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** One setting as it was found. Lists are joined by commas. */
export interface FoundValue {
  readonly text: string
  /** e.g. `default`, `flag --listen`, `environment NXMESH_LISTEN`, `/etc/nxmesh/master.yaml`. */
  readonly origin: string
}
export type FoundValues = Partial<Record<OptionKey | 'master_key_file', FoundValue>>

export interface ConfigSources {
  /** By flag name without dashes, e.g. `data-dir`. */
  readonly flags?: Readonly<Record<string, string | undefined>>
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** The YAML file; null: none. */
  readonly file?: string | null
}

/** Keys by every name that may set them; a secret's `_file` sibling with the key that it fills. */
const KEYS = new Map<string, { key: OptionKey; from_file: boolean }>()
for (const key of OPTION_KEYS) {
  KEYS.set(key, { key, from_file: false })
  if ((OPTIONS[key] as Option).secret) KEYS.set(`${key}_file`, { key, from_file: true })
}

/** Flags over environment over file over defaults. Throws `ConfigError` for an unknown key anywhere. */
export async function findValues(sources: ConfigSources): Promise<FoundValues> {
  const found: FoundValues = {}
  for (const key of OPTION_KEYS) {
    const option: Option = OPTIONS[key]
    if (option.default !== undefined) found[key] = { text: option.default, origin: 'default' }
  }
  // From the weakest to the strongest, each overwriting.
  if (sources.file) apply(found, await fromFile(sources.file))
  apply(found, fromEnvironment(sources.environment ?? {}))
  apply(found, fromFlags(sources.flags ?? {}))
  return found
}

type Layer = Map<string, FoundValue>

const MASTER_KEYS = ['master_key', 'master_key_file', 'master_key_command'] as const

function apply(found: FoundValues, layer: Layer): void {
  // Three ways to name one thing: the strongest layer that names it decides.
  if (MASTER_KEYS.some(name => layer.has(name))) for (const name of MASTER_KEYS) delete found[name]
  refuseTwice(layer, MASTER_KEYS)
  for (const [name, value] of layer) {
    const known = KEYS.get(name)
    if (!known) continue
    if (known.from_file) refuseTwice(layer, [known.key, name])
    // The master key's file is read later by the area of secrets, which may have to make it.
    if (name === 'master_key_file') found[name] = value
    else found[known.key] = known.from_file ? readSecret(value) : value
  }
}

function refuseTwice(layer: Layer, names: readonly string[]): void {
  const set = names.flatMap(name => layer.get(name)?.origin ?? [])
  if (set.length > 1) throw new ConfigError(`${names[0]} is set twice in one place: ${set.join(', ')}.`)
}

function readSecret(named: FoundValue): FoundValue {
  return { text: readSmall(named.text, named.origin).trim(), origin: `${named.origin} (${named.text})` }
}

function readSmall(path: string, origin: string): string {
  try {
    if (statSync(path).size > MASTER_LIMITS.config_file_bytes) throw new Error('it is too large')
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigError(`${origin}: ${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

function fromFlags(flags: Readonly<Record<string, string | undefined>>): Layer {
  const names = new Map([...KEYS.keys()].map(key => [flagOf(key), key]))
  const layer: Layer = new Map()
  for (const [flag, text] of Object.entries(flags)) {
    const key = names.get(flag)
    if (!key) throw new ConfigError(`There is no flag --${flag}.`)
    if (text !== undefined) layer.set(key, { text, origin: `flag --${flag}` })
  }
  return layer
}

function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): Layer {
  const names = new Map([...KEYS.keys()].map(key => [variableOf(key), key]))
  const layer: Layer = new Map()
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith('NXMESH_') || text === undefined) continue
    const key = names.get(variable)
    if (!key && FOREIGN_VARIABLES.test(variable)) continue
    if (!key)
      throw new ConfigError(`The environment variable ${variable} sets nothing that the master knows.`)
    layer.set(key, { text, origin: `environment ${variable}` })
  }
  return layer
}

async function fromFile(path: string): Promise<Layer> {
  const text = readSmall(path, 'configuration file')
  const { parse } = await import('yaml')
  let root: unknown
  try {
    root = parse(text, { uniqueKeys: true, maxAliasCount: 0 })
  } catch (error) {
    // The first line says what and where; those behind it quote the file, which may hold a password.
    const [why] = (error as Error).message.split('\n')
    throw new ConfigError(`${path}: ${why}`)
  }
  const layer: Layer = new Map()
  if (root !== null && root !== undefined) flatten(path, root, '', layer)
  return layer
}

function flatten(path: string, value: unknown, at: string, layer: Layer): void {
  if (KEYS.has(at)) {
    if (value !== null) layer.set(at, { text: textOf(path, at, value), origin: path })
    return
  }
  const inner = at === '' || [...KEYS.keys()].some(key => key.startsWith(`${at}.`))
  if (!inner) throw new ConfigError(`${path}: the master knows no setting "${at}".`)
  if (value === null) return
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new ConfigError(`${path}: ${at === '' ? 'the file' : at} must hold settings by name.`)
  }
  for (const [key, one] of Object.entries(value)) flatten(path, one, at === '' ? key : `${at}.${key}`, layer)
}

function textOf(path: string, key: string, value: unknown): string {
  const known = KEYS.get(key)
  const list = known && !known.from_file && (OPTIONS[known.key] as Option).type === 'list'
  if (list && Array.isArray(value) && value.every(one => typeof one === 'string')) return value.join(',')
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  throw new ConfigError(`${path}: ${key} must be ${list ? 'a list of texts' : 'a text'}.`)
}
