import { isDeepStrictEqual } from 'node:util'
import { prepareNginx } from '../agent.ts'
import { withApplyLock } from '../apply/apply-lock.ts'
import type { AgentConfig } from '../config.ts'
import { removeFile } from '../host/files.ts'
import { waitForLock } from '../host/lock.ts'
import { hostName } from '../host/system.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { register } from '../link/register.ts'
import type { Log } from '../log.ts'
import { NginxError } from '../nginx/installation.ts'
import { type Identity, readIdentity, writeIdentity } from '../state/identity.ts'
import { EMPTY_JOURNAL, openJournal, withoutOrders } from '../state/journal.ts'
import { makeStateFolders, type StatePaths, statePaths } from '../state/paths.ts'
import { AGENT_VERSION } from '../version.ts'

/** Registers this host with its master and takes its nginx over; `run` does the rest. */
export async function join(config: AgentConfig, log: Log, print: (line: string) => void): Promise<void> {
  // nginx is looked at first: a token must not be spent for an nginx that cannot be managed.
  await prepareNginx({ state_dir: config.state_dir, nginx: config.nginx, log })
  const joined = readIdentity(statePaths(config.state_dir)) !== null
  const identity = await registerOnce(config, log)
  print(whoItIs(identity))
  if (joined && config.token !== null)
    print(
      'It had joined before, and the token was not used. To register it anew: stop it, and run nxmesh-agent rejoin.',
    )
}

/**
 * Registers a host that has joined before with a new token: as the same agent when its keys were revoked, or as another one,
 * also of another master. nginx serves on; until the new registration is done the old one stays.
 * @throws NginxError while the agent runs; RegistrationError
 */
export async function rejoin(config: AgentConfig, log: Log, print: (line: string) => void): Promise<void> {
  const paths = statePaths(config.state_dir)
  makeStateFolders(paths)
  const lock = await waitForLock(paths.agent_lock, AGENT_LIMITS.agent_lock_max_ms)
  if (lock === null)
    throw new NginxError(`the agent runs with ${paths.root}: stop it first, nginx serves on meanwhile`)
  try {
    await prepareNginx({ state_dir: config.state_dir, nginx: config.nginx, log })
    print(whoItIs(await registerNow(config, paths, readIdentity(paths), log)))
  } finally {
    lock.release()
  }
}

const whoItIs = ({ name, agent_id, master_url }: Identity) =>
  `This host is agent ${name} (${agent_id}) of ${master_url}.`

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
  return await registerNow(config, paths, null, log)
}

async function registerNow(
  config: AgentConfig,
  paths: StatePaths,
  known: Identity | null,
  log: Log,
): Promise<Identity> {
  const { master_url, token, ca_fingerprint, server_key_pins, name } = config
  if (master_url === null) throw new NginxError('master_url is not set, and registering needs it')
  if (token === null)
    throw new NginxError('registering needs a token (token or token_file), and there is none')
  const identity = await register({
    master_url,
    token,
    ca_fingerprint,
    server_key_pins: server_key_pins ?? [],
    ...(name === null ? {} : { name }),
    hostname: hostName(),
    version: AGENT_VERSION,
  })
  if (known?.agent_id !== identity.agent_id) await becomeAnother(paths)
  writeIdentity(paths, identity)
  log('info', 'registered', { agent_id: identity.agent_id, master_url })
  return identity
}

/** A kill in here leaves a host that has not joined, never an agent with another one's fence. */
async function becomeAnother(paths: StatePaths): Promise<void> {
  removeFile(paths.identity)
  await withApplyLock(paths, async () => {
    const journal = openJournal(paths)
    if (journal.read() !== EMPTY_JOURNAL) journal.update(withoutOrders(journal.read()))
  })
}

/** Pins that are configured replace those of the identity: a planned change of the master's key is two pins for a while. */
function withPins(paths: StatePaths, known: Identity, pins: readonly string[] | null): Identity {
  if (pins === null || isDeepStrictEqual(pins, known.server_key_pins ?? [])) return known
  const identity = { ...known, server_key_pins: pins }
  writeIdentity(paths, identity)
  return identity
}
