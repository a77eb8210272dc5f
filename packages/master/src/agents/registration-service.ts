import { type AgentRegistered, ApiError } from '@nxmesh/contract'
import type { Caller } from '../access/caller.ts'
import { hashToken } from '../access/tokens.ts'
import { admits } from '../addresses.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Channel } from '../channel/channel.ts'
import type { Refusals } from '../channel/refusals.ts'
import type { Database, Tx } from '../database/database.ts'
import { addressKey, makeTokenBuckets } from '../http/token-buckets.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import type { RegisterInput, Registration } from './agents.ts'
import { AGENT_AREA_LIMITS } from './agents-limits.ts'
import { candidateNames, labelsOf, nameTaken, type RegisterFault, tokenFault } from './agents-rules.ts'
import { newAgent, refuseFull } from './agents-service.ts'
import {
  type AgentRow,
  agentById,
  agentByName,
  insertAgent,
  type TokenRow,
  tokenByHash,
  updateAgent,
  useToken,
} from './agents-store.ts'
import type { Directory } from './directory.ts'

export interface RegistrationDeps {
  readonly db: Database
  readonly audit: AuditLog
  readonly keys: AgentKeyRing
  readonly channel: Channel
  readonly directory: Directory
  readonly refusals: Refusals
  readonly tenancy: Pick<Tenancy, 'workspaceOf'>
  readonly now: () => Date
  readonly newId: () => string
}

/** A refusal inside the transaction: it rolls back, and is recorded after it. */
class TokenRefused extends Error {
  readonly fault: RegisterFault
  readonly row: TokenRow | undefined

  constructor(fault: RegisterFault, row: TokenRow | undefined) {
    super(fault)
    this.fault = fault
    this.row = row
  }
}

/**
 * Turns a bootstrap token into an agent with a session key. One transaction counts the token's use, makes or finds the agent,
 * ends its older keys and writes the audit row.
 */
export function makeRegistration(deps: RegistrationDeps): Registration {
  const throttle = makeTokenBuckets(
    {
      burst: AGENT_AREA_LIMITS.register_failures_burst,
      per_s: AGENT_AREA_LIMITS.register_failures_per_s,
    },
    AGENT_AREA_LIMITS.register_addresses,
    deps.now,
  )

  /** Strangers cost a read, and no turn in the queue of writers. */
  const lookUp = async (token: string) => {
    const row = await tokenByHash(deps.db.read, hashToken(token))
    const fault = tokenFault(row, deps.now())
    if (fault) throw new TokenRefused(fault, row)
  }
  /** Only who was refused is slowed: a hundred agents behind one address that come with a good token are not. */
  const refused = (caller: Caller, error: TokenRefused): ApiError => {
    const wait_s = throttle.take(addressKey(caller.ip_address))
    if (wait_s === 0) return refuse(deps.refusals, caller, error)
    return new ApiError('RATE_LIMITED', `Too many refused registrations; try again in ${wait_s} s`, {
      retry_after_s: wait_s,
    })
  }

  return {
    async register(caller, input) {
      const { row, answer } = await lookUp(input.token)
        .then(() => deps.db.write(tx => registerIn(tx, deps, caller, input)))
        .catch((error: unknown) => {
          throw error instanceof TokenRefused ? refused(caller, error) : error
        })
      deps.keys.forget(row.id)
      deps.directory.put(row)
      deps.channel.cut(row.id, 'the agent registered again')
      return answer
    },
  }
}

async function registerIn(
  tx: Tx,
  deps: RegistrationDeps,
  caller: Caller,
  input: RegisterInput,
): Promise<{ row: AgentRow; answer: AgentRegistered }> {
  const token = await tokenByHash(tx, hashToken(input.token))
  const fault = tokenFault(token, deps.now())
  if (fault || !token) throw new TokenRefused(fault ?? 'unknown_token', token)
  const { agent_allowed_cidrs } = await deps.tenancy.workspaceOf(tx, token.workspace_id)
  if (!admits(agent_allowed_cidrs, caller.ip_address)) throw new TokenRefused('address_not_allowed', token)
  if (!(await useToken(tx, token.id))) throw new TokenRefused('used_up_token', token)
  const row = await (token.agent_id === null
    ? makeNew(tx, deps, token, caller, input)
    : takeOver(tx, token.agent_id, caller, input))
  const { key_id, session_key } = await deps.keys.issue(tx, row.id)
  await deps.audit.append(tx, agentCaller(caller, row), {
    action: 'agent.register',
    object_type: 'agent',
    object_id: row.id,
    workspace_id: row.workspace_id,
    after: { name: row.name, hostname: row.hostname, version: row.version, key_id, token_id: token.id },
  })
  const { id: agent_id, workspace_id, name } = row
  return { row, answer: { agent_id, workspace_id, name, key_id, session_key } }
}

/** The agent that the token is bound to; registered before or not. */
async function takeOver(tx: Tx, agent_id: string, caller: Caller, input: RegisterInput): Promise<AgentRow> {
  const row = await agentById(tx, agent_id)
  // The token goes with its agent, so this is a deletion that came in between.
  if (!row) throw new TokenRefused('unknown_token', undefined)
  const seen = { hostname: input.hostname, version: input.version, ip_address: caller.ip_address ?? '' }
  await updateAgent(tx, agent_id, seen)
  return { ...row, ...seen }
}

/** A new agent of the workspace, named as it asks or after its host, made unique. */
async function makeNew(
  tx: Tx,
  deps: RegistrationDeps,
  { workspace_id, labels_json }: TokenRow,
  caller: Caller,
  input: RegisterInput,
): Promise<AgentRow> {
  await refuseFull(tx, workspace_id)
  const wanted = input.name ?? input.hostname
  for (const name of candidateNames(wanted, AGENT_AREA_LIMITS.unique_name_tries)) {
    if (await agentByName(tx, workspace_id, name)) continue
    const row = newAgent(deps, {
      workspace_id,
      name,
      labels: labelsOf(labels_json),
      deployment_mode: 'standalone',
      hostname: input.hostname,
      ip_address: caller.ip_address ?? '',
      version: input.version,
    })
    await insertAgent(tx, row)
    return row
  }
  throw nameTaken(wanted)
}

const agentCaller = (caller: Caller, row: Pick<AgentRow, 'id' | 'name'>): Caller => ({
  ...caller,
  principal: { type: 'agent', id: row.id },
  name: row.name,
  door: 'channel',
})

/** The same answer for every fault: a stranger learns nothing about tokens. */
function refuse(refusals: Refusals, caller: Caller, { fault, row }: TokenRefused): ApiError {
  refusals.note({
    action: 'agent.register_refused',
    reason: fault,
    agent_id: row?.agent_id ?? null,
    workspace_id: row?.workspace_id ?? null,
    key_id: null,
    ip_address: caller.ip_address,
  })
  return new ApiError('BOOTSTRAP_TOKEN_INVALID', 'The bootstrap token is unknown, expired or used up')
}
