import { openAgent } from '../agent.ts'
import type { AgentConfig } from '../config.ts'
import { startLink } from '../link/link.ts'
import { RegistrationError } from '../link/register.ts'
import type { Log } from '../log.ts'
import { type Identity, writeIdentity } from '../state/identity.ts'
import { statePaths } from '../state/paths.ts'
import { registerOnce } from './join.ts'

const RETRY_MIN_MS = 1_000
const RETRY_MAX_MS = 30_000

/** Runs the agent until the signal to stop; registers and takes nginx over first where that has not happened yet. */
export async function run(config: AgentConfig, log: Log, stop: AbortSignal): Promise<void> {
  const agent = await openAgent({ state_dir: config.state_dir, nginx: config.nginx, log })
  try {
    const identity = await registerPatiently(config, log, stop)
    if (identity === null) return
    const link = startLink({
      identity,
      saveKeys: keys => writeIdentity(statePaths(config.state_dir), { ...identity, ...keys }),
      orders: agent.orders,
      log,
      changed: connected =>
        log('info', connected ? 'connected to the master' : 'not connected to the master'),
    })
    log('info', 'running', { agent_id: identity.agent_id, master_url: identity.master_url })
    await stopped(stop)
    await link.stop()
  } finally {
    await agent.close()
  }
}

/** A master that cannot be reached yet is waited for; a refusal ends the agent. */
async function registerPatiently(config: AgentConfig, log: Log, stop: AbortSignal): Promise<Identity | null> {
  for (let delay_ms = RETRY_MIN_MS; !stop.aborted; delay_ms = Math.min(delay_ms * 2, RETRY_MAX_MS)) {
    try {
      return await registerOnce(config, log)
    } catch (error) {
      if (!(error instanceof RegistrationError) || !error.retryable) throw error
      log('warn', 'cannot register yet', { error: error.message, retry_in_ms: delay_ms })
    }
    await Promise.race([stopped(stop), new Promise(resolve => setTimeout(resolve, delay_ms * Math.random()))])
  }
  return null
}

function stopped(stop: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (stop.aborted) resolve()
    else stop.addEventListener('abort', () => resolve(), { once: true })
  })
}
