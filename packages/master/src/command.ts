import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { AuditBrokenError, parseHead } from './audit/audit-rules.ts'
import { CertificateError } from './certificates/authority.ts'
import { ConfigError, printConfig } from './config.ts'
import { flagOf, OPTION_KEYS, OPTIONS, type Option, variableOf } from './config-options.ts'
import type { ConfigSources } from './config-values.ts'
import { DataFolderError } from './data-folder.ts'
import { DataFolderInUseError } from './data-lock.ts'
import {
  DatabaseDamagedError,
  DatabaseLostError,
  DatabaseMissingError,
  DatabaseUnreachableError,
} from './database/database-errors.ts'
import { DatabaseTooNewError, DatabaseTooOldError } from './database/migrate.ts'
import { FileModeError } from './files.ts'
import { MasterKeyError, RotationError } from './secrets/master-key.ts'
import { ListenError } from './serve.ts'
import { VERSION } from './version.ts'

const DEFAULT_FILE = '/etc/nxmesh/master.yaml'

/** What stops a command and is for the operator to mend: shown without a stack. */
const EXPLAINED = [
  AuditBrokenError,
  ConfigError,
  CertificateError,
  DataFolderError,
  DataFolderInUseError,
  DatabaseDamagedError,
  DatabaseLostError,
  DatabaseMissingError,
  DatabaseTooNewError,
  DatabaseTooOldError,
  DatabaseUnreachableError,
  FileModeError,
  ListenError,
  MasterKeyError,
  RotationError,
]

/** `nxmesh …`; `argv` without the executable. Resolves with the exit status: 0 done, 1 it failed, 2 it was called wrongly. */
export async function nxmeshMain([noun, ...rest]: readonly string[]): Promise<number> {
  switch (noun) {
    case 'master':
      return await masterMain(rest)
    case 'help':
    case '--help':
    case '-h':
      return print(usage())
    case 'version':
    case '--version':
      return print(VERSION)
    default:
      return noSuchCommand(noun ?? '')
  }
}

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
    if (usage) return misused(firstSentence((error as Error).message))
    process.stderr.write(`nxmesh master: ${(error as Error).message}\n`)
    return 1
  }
}

type Flags = Readonly<Record<string, string | boolean | undefined>>

/** What a command takes beside the settings, and what it does; what runs seldom is loaded only when it runs. */
interface Command {
  readonly flags: Readonly<Record<string, { type: 'string' | 'boolean' }>>
  run(sources: ConfigSources, flags: Flags): Promise<number>
}

const text = (value: string | boolean | undefined) => (typeof value === 'string' ? value : undefined)

const COMMANDS: Readonly<Record<string, Command>> = {
  run: {
    flags: {},
    async run(sources) {
      const { runMaster } = await import('./run.ts')
      return await runMaster(sources)
    },
  },
  'config print': {
    flags: { origin: { type: 'boolean' } },
    run: async (sources, { origin }) => print(await printConfig(sources, origin === true)),
  },
  'rotate-key': {
    flags: {
      'new-master-key-file': { type: 'string' },
      'new-master-key-command': { type: 'string' },
      'only-this-folder': { type: 'boolean' },
      'data-key': { type: 'boolean' },
    },
    async run(sources, flags) {
      const { rotateKey } = await import('./rotate-key-command.ts')
      const wish = {
        new_master_key_file: text(flags['new-master-key-file']),
        new_master_key_command: text(flags['new-master-key-command']),
        only_this_folder: flags['only-this-folder'] === true,
        data_key: flags['data-key'] === true,
      }
      const named = [wish.new_master_key_file, wish.new_master_key_command].filter(one => one !== undefined)
      if (named.length > 1) return misused('Give the new master key once: as a file or as a command.')
      if (wish.data_key && (named.length > 0 || wish.only_this_folder))
        return misused('--data-key changes the data key only: it takes no new master key.')
      return print(await rotateKey(sources, wish))
    },
  },
  'audit verify': {
    flags: { expect: { type: 'string' } },
    async run(sources, { expect }) {
      const head = typeof expect === 'string' ? parseHead(expect) : null
      if (expect !== undefined && !head)
        return misused('--expect must be <sequence>:<hash>, as audit verify prints it.')
      const { auditVerify } = await import('./audit-verify-command.ts')
      return print(await auditVerify(sources, head))
    },
  },
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const own = Object.assign({}, ...Object.values(COMMANDS).map(one => one.flags)) as Command['flags']
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      ...settingFlags(),
      ...own,
      config: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const { config, help, ...given } = values
  if (help) return print(usage())
  const name = positionals.join(' ')
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command) return noSuchCommand(`master ${name}`.trim())
  const [flags, settings]: [Record<string, string | boolean>, Record<string, string>] = [{}, {}]
  for (const [flag, value] of Object.entries(given)) {
    if (typeof value !== 'string' && typeof value !== 'boolean') continue
    if (!Object.hasOwn(own, flag)) settings[flag] = String(value)
    else if (Object.hasOwn(command.flags, flag)) flags[flag] = value
    else return misused(`${name} takes no --${flag}.`)
  }
  return await command.run(sourcesOf(settings, text(config)), flags)
}

function misused(why: string): number {
  process.stderr.write(`nxmesh master: ${why} nxmesh master --help lists commands and settings.\n`)
  return 2
}

function noSuchCommand(name: string): number {
  const asked = name === '' || name === 'master' ? '' : `There is no command nxmesh ${name}.\n\n`
  process.stderr.write(`${asked}${usage()}\n`)
  return 2
}

/** What follows it in the runtime's messages is about positional arguments, which no command takes. */
const firstSentence = (message: string) => `${message.split('. ', 1)[0]}.`.replace(/\.\.$/, '.')

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
  nxmesh master rotate-key                        put a new master key in the place of the old one, while the master runs
    --new-master-key-file <file>                  the new key, where it is not kept in the data folder
    --new-master-key-command <command>            or a command that prints it
    --only-this-folder                            other data folders with a key file of this database are not used any more
    --data-key                                    instead: a new data key for what is sealed from now on
  nxmesh master audit verify                      look whether the audit log is as it was written; prints its head
    --expect <sequence>:<hash>                    a head that was printed before: find rows cut off at the end
  nxmesh version

Settings, as flag and as environment variable; --config <file> (NXMESH_CONFIG, else ${DEFAULT_FILE}) names a YAML file:
${settings.join('\n')}`
}
