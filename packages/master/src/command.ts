import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { CertificateError } from './certificates/authority.ts'
import { ConfigError, printConfig } from './config.ts'
import { flagOf, OPTION_KEYS, OPTIONS, type Option, variableOf } from './config-options.ts'
import type { ConfigSources } from './config-values.ts'
import { DataFolderInUseError } from './data-lock.ts'
import {
  DatabaseDamagedError,
  DatabaseLostError,
  DatabaseUnreachableError,
} from './database/database-errors.ts'
import { DatabaseTooNewError } from './database/migrate.ts'
import { FileModeError } from './files.ts'
import { MasterKeyError } from './secrets/master-key.ts'
import { ListenError } from './serve.ts'

const DEFAULT_FILE = '/etc/nxmesh/master.yaml'

/** What stops a start and is for the operator to mend: shown without a stack. */
const EXPLAINED = [
  ConfigError,
  CertificateError,
  DataFolderInUseError,
  DatabaseDamagedError,
  DatabaseLostError,
  DatabaseTooNewError,
  DatabaseUnreachableError,
  FileModeError,
  ListenError,
  MasterKeyError,
]

/**
 * `nxmesh master …`; `argv` without the executable and `master`. Resolves with the exit status when the command ended;
 * `run` ends with a signal.
 */
export async function masterMain(argv: readonly string[]): Promise<number> {
  try {
    return await dispatch(argv)
  } catch (error) {
    const usage =
      error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
    if (!usage && !EXPLAINED.some(kind => error instanceof kind)) throw error
    process.stderr.write(`nxmesh master: ${(error as Error).message}\n`)
    return usage ? 2 : 1
  }
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      ...settingFlags(),
      config: { type: 'string' },
      origin: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const { config, origin, help, ...settings } = values
  const command = positionals.join(' ')
  if (help) return print(usage())
  const sources = sourcesOf(
    settings as Record<string, string>,
    typeof config === 'string' ? config : undefined,
  )
  if (command === 'run') {
    const { runMaster } = await import('./run.ts')
    return await runMaster(sources)
  }
  if (command === 'config print') return print(await printConfig(sources, origin === true))
  process.stderr.write(`${usage()}\n`)
  return 2
}

function settingFlags(): Record<string, { type: 'string' }> {
  const keys = OPTION_KEYS.flatMap(key => ((OPTIONS[key] as Option).secret ? [key, `${key}_file`] : [key]))
  return Object.fromEntries(keys.map(key => [flagOf(key), { type: 'string' }]))
}

function sourcesOf(flags: Record<string, string>, named: string | undefined): ConfigSources {
  const file = named ?? process.env.NXMESH_CONFIG ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : null)
  return { flags, environment: process.env, file }
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

function usage(): string {
  const settings = OPTION_KEYS.map(key => {
    const option: Option = OPTIONS[key]
    const notes = [
      option.default === undefined ? [] : `default ${option.default}`,
      option.secret ? `or --${flagOf(key)}-file` : [],
    ].flat()
    const note = notes.length > 0 ? ` (${notes.join('; ')})` : ''
    return `  --${flagOf(key).padEnd(22)} ${variableOf(key).padEnd(30)} ${option.help}${note}`
  })
  return `Usage:
  nxmesh master run [settings]                    run the master until SIGTERM or SIGINT
  nxmesh master config print [--origin]           show the settings, and where each comes from

Settings, as flag and as environment variable; --config <file> (NXMESH_CONFIG, else ${DEFAULT_FILE}) names a YAML file:
${settings.join('\n')}`
}
