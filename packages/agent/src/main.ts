import { type AgentConfig, ConfigError, loadConfig } from './config.ts'
import { flagOf, OPTIONS } from './config-options.ts'
import { RegistrationError } from './link/register.ts'
import { type Log, makeLog } from './log.ts'
import { NginxError } from './nginx/installation.ts'
import { StateError } from './state/json-file.ts'
import { AGENT_VERSION } from './version.ts'

const USAGE = `Usage: nxmesh-agent <command> [settings]

Commands:
  join                  register with the master and take this host's nginx over
  rejoin                register anew with a new token, after keys were revoked or for another master; stop the agent first
  run                   run the agent (joins by itself when it has a token and no identity)
  status                what this host serves, read now; works without the master
  rollback [timestamp]  serve an older deployment again and put the agent on hold
  version

Settings (also as NXMESH_* variables, or in the file that --config names):
${OPTIONS.map(({ key, help }) => `  --${flagOf(key).padEnd(24)} ${help}`).join('\n')}
  --token-file               file that holds the token
`

/** Runs the command line; the process's exit code. 0 done, 1 it failed, 2 it was called wrongly. */
export async function agentMain(argv: readonly string[]): Promise<number> {
  const [command, ...args] = argv
  if (command === undefined || command === '--help' || command === 'help')
    return print(USAGE, command ? 0 : 2)
  if (command === 'version' || command === '--version') return print(`${AGENT_VERSION}\n`, 0)
  try {
    const { config, rest } = await loadConfig({ args, env: process.env })
    const log = makeLog(
      config.log_level,
      line => process.stderr.write(line),
      () => new Date(),
    )
    return await perform(command, config, rest, log)
  } catch (error) {
    return fail(error)
  }
}

async function perform(command: string, config: AgentConfig, rest: string[], log: Log): Promise<number> {
  if (rest.length > (command === 'rollback' ? 1 : 0))
    throw new ConfigError(`unexpected argument ${rest.at(-1)}`)
  switch (command) {
    case 'join':
    case 'rejoin': {
      const { join, rejoin } = await import('./commands/join.ts')
      await (command === 'join' ? join : rejoin)(config, log, line => process.stdout.write(`${line}\n`))
      return 0
    }
    case 'run': {
      const { run } = await import('./commands/run.ts')
      await run(config, log, stopSignal())
      return 0
    }
    case 'status': {
      const { readStatus } = await import('./commands/status.ts')
      const status = await readStatus(config)
      return print(`${JSON.stringify(status, null, 2)}\n`, status.nginx.running ? 0 : 1)
    }
    case 'rollback': {
      const { rollback } = await import('./commands/rollback.ts')
      const { folder, generation } = await rollback(config, log, rest[0])
      return print(`${folder} (generation ${generation}) is served; the agent is on hold.\n`, 0)
    }
    default:
      process.stderr.write(`There is no command ${command}.\n\n${USAGE}`)
      return 2
  }
}

function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => controller.abort())
  return controller.signal
}

function print(text: string, exit_code: number): number {
  process.stdout.write(text)
  return exit_code
}

function fail(error: unknown): number {
  if (error instanceof ConfigError) {
    process.stderr.write(`nxmesh-agent: ${error.message}\n`)
    return 2
  }
  const is_known =
    error instanceof NginxError || error instanceof StateError || error instanceof RegistrationError
  const text = is_known
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error)
  process.stderr.write(`nxmesh-agent: ${text}\n`)
  return 1
}
