import { isDeepStrictEqual } from 'node:util'
import { prepareNginx } from '../agent.ts'
import type { AgentConfig } from '../config.ts'
import { hostName } from '../host/system.ts'
import { register } from '../link/register.ts'
import type { Log } from '../log.ts'
import { NginxError } from '../nginx/installation.ts'
import { type Identity, readIdentity, writeIdentity } from '../state/identity.ts'
import { makeStateFolders, type StatePaths, statePaths } from '../state/paths.ts'
import { AGENT_VERSION } from '../version.ts'

/** Registers this host with its master and takes its nginx over; `run` does the rest. */
export async function join(config: AgentConfig, log: Log, print: (line: string) => void): Promise<void> {
  // nginx is looked at first: a token must not be spent for an nginx that cannot be managed.
  await prepareNginx({ state_dir: config.state_dir, nginx: config.nginx, log })
  const identity = await registerOnce(config, log)
  print(`This host is agent ${identity.name} (${identity.agent_id}) of ${identity.master_url}.`)
}

/**
 * The identity of this agent, made now if there is none and there is a token.
 * @throws NginxError in words for the operator when something that registration needs is missing; RegistrationError
 */
export async function registerOnce(config: AgentConfig, log: Log): Promise<Identity> {
  const paths = statePaths(config.state_dir)
  makeStateFolders(paths)
  const known = readIdentity(paths)
  if (known !== null) {
    if (config.master_url !== null && config.master_url !== known.master_url)
      log('warn', 'this agent belongs to another master than the configured one', {
        master_url: known.master_url,
      })
    return withPins(paths, known, config.server_key_pins)
  }
  const { master_url, token, ca_fingerprint, server_key_pins, name } = config
  if (master_url === null) throw new NginxError('master_url is not set, and this agent has not joined yet')
  if (token === null)
    throw new NginxError('this agent has not joined yet and has no token (token or token_file)')
  const identity = await register({
    master_url,
    token,
    ca_fingerprint,
    server_key_pins: server_key_pins ?? [],
    ...(name === null ? {} : { name }),
    hostname: hostName(),
    version: AGENT_VERSION,
  })
  writeIdentity(paths, identity)
  log('info', 'registered', { agent_id: identity.agent_id, master_url })
  return identity
}

/** Pins that are configured replace those of the identity: a planned change of the master's key is two pins for a while. */
function withPins(paths: StatePaths, known: Identity, pins: readonly string[] | null): Identity {
  if (pins === null || isDeepStrictEqual(pins, known.server_key_pins ?? [])) return known
  const identity = { ...known, server_key_pins: pins }
  writeIdentity(paths, identity)
  return identity
}
