import pino from 'pino'
import { loadConfig } from './config.ts'
import type { ConfigSources } from './config-values.ts'
import { makeLog } from './log.ts'
import { type RunningMaster, startMaster } from './main.ts'
import { VERSION } from './version.ts'

const STDOUT = 1

/**
 * Runs the master in the foreground: what a person needs to begin on standard error, the log on standard output. The first
 * SIGTERM or SIGINT ends it in order, a second one at once; both lose nothing that was acknowledged.
 */
export async function runMaster(sources: ConfigSources): Promise<number> {
  process.title = 'nxmesh master'
  process.umask(0o077)
  const stopped = new Promise<NodeJS.Signals>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal)
        process.once(signal, () => process.exit(1))
      })
    }
  })
  const config = await loadConfig(sources)
  // Synchronous: the last lines before a crash are the ones that matter.
  const log = makeLog(config.log_level, pino.destination({ fd: STDOUT, sync: true }))
  dieOnBugs(log)
  const master = await startMaster(config, { log })
  process.on('SIGHUP', () => void master.reloadCertificate())
  process.stderr.write(greeting(master))
  const signal = await stopped
  log.child({ component: 'master' }).info({ signal }, 'Stopping')
  await master.stop()
  return 0
}

/** Crash-only: a state that nobody thought of is left by a restart, not carried on. */
function dieOnBugs(log: pino.Logger): void {
  const die = (err: unknown) => {
    log
      .child({ component: 'master' })
      .fatal({ err }, 'The master ends because of an error that nothing caught')
    process.exit(70)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
}

function greeting(master: RunningMaster): string {
  const lines = [
    `NxMesh master ${VERSION} (process ${process.pid})`,
    `  URL             ${master.url}`,
    ...(master.plain_url ? [`  plain URL       ${master.plain_url}`] : []),
    `  server key pin  ${master.server_key_pin}`,
    `  CA fingerprint  ${master.ca_fingerprint}`,
    ...(master.setup_token
      ? [
          `  setup token     ${master.setup_token}`,
          '  Make the first administrator with it: POST /api/v1/setup. Until that is done, each start makes a new one.',
        ]
      : []),
  ]
  return `${lines.join('\n')}\n`
}
