import { runCommand } from '../host/commands.ts'
import type { ProcessId } from '../host/processes.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { pollUntil } from '../poll.ts'
import { confArgs, type Installation, NginxError } from './installation.ts'
import { findMaster } from './master-process.ts'

/**
 * Starts nginx as a daemon, unless it runs already.
 * @throws NginxError with nginx's own words when it does not start
 */
export async function startNginx(installation: Installation, status_port: number | null): Promise<ProcessId> {
  const running = findMaster(installation, status_port)
  if (running !== null) return running
  const args = confArgs(installation, installation.conf_path)
  const result = await runCommand(installation.binary, args, AGENT_LIMITS.nginx_start_max_ms)
  if (result.exit_code !== 0)
    throw new NginxError(`nginx does not start: ${result.output.trim().slice(0, 1_000)}`)
  const master = await pollUntil(() => findMaster(installation, status_port), AGENT_LIMITS.nginx_start_max_ms)
  if (master === null) throw new NginxError('nginx was started and is not running')
  return master
}
