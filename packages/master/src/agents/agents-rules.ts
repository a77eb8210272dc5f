import {
  type Agent,
  AgentFacts,
  type AgentKey,
  type AgentState,
  ApiError,
  type BootstrapTokenInfo,
  type Labels,
  LIMITS,
  type Principal,
} from '@nxmesh/contract'
import type { AgentKeyRow } from './agent-keys-store.ts'
import type { AgentRow, TokenRow } from './agents-store.ts'

export const noAgent = () => new ApiError('NOT_FOUND', 'There is no such agent')

export function nameTaken(name: string): ApiError {
  const message = `Another agent of this workspace has the name "${name}"`
  return new ApiError('CONFLICT', message, { details: [{ field: 'name', message }] })
}

export const NO_CONFIG: Agent['config'] = {
  desired_release_number: null,
  serving_release_number: null,
  serving_deployment_id: null,
  serving_since: null,
  last_error: null,
  hold: null,
}

/** What only memory knows of an agent. */
export interface Presence {
  readonly online: boolean
  /** RFC 3339; null: not seen since the master started. */
  readonly last_seen_at: string | null
}

/**
 * Pending until the first connection. Degraded: connected, but the last deployment could not be loaded or prepared, or its
 * facts are not known, so that nothing can be planned for it.
 */
function stateOf(
  row: Pick<AgentRow, 'state' | 'facts_json'>,
  presence: Presence,
  config: Agent['config'],
): { state: AgentState; state_reason: string | null } {
  if (!presence.online)
    return row.state === 'pending'
      ? { state: 'pending', state_reason: 'It has not connected yet' }
      : { state: 'offline', state_reason: 'It is not connected' }
  if (row.facts_json === null) return { state: 'degraded', state_reason: 'Its nginx could not be read' }
  if (config.last_error !== null) return { state: 'degraded', state_reason: config.last_error }
  return { state: 'online', state_reason: null }
}

export function agentOf(row: AgentRow, presence: Presence, config: Agent['config']): Agent {
  const facts = factsOf(row.facts_json)
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    name: row.name,
    hostname: row.hostname,
    ip_address: row.ip_address,
    version: row.version,
    ...stateOf(row, presence, config),
    deployment_mode: row.deployment_mode as Agent['deployment_mode'],
    last_seen_at: presence.last_seen_at ?? row.last_seen_at,
    capabilities: facts ? capabilitiesOf(facts) : [],
    labels: labelsOf(row.labels_json),
    nginx_version: facts?.render.nginx_version ?? null,
    config,
    created_at: row.created_at,
  }
}

export const labelsOf = (labels_json: string): Labels => JSON.parse(labels_json)

/** Null before the first connection, and when an older master stored what this one cannot read. */
export function factsOf(facts_json: string | null): AgentFacts | null {
  if (facts_json === null) return null
  const read = AgentFacts.safeParse(JSON.parse(facts_json))
  return read.success ? read.data : null
}

/** What a module of nginx (in configure's form, `http_v2`) lets an agent do. */
const MODULE_CAPABILITIES: Readonly<Record<string, string>> = {
  http_v2: 'http2',
  http_v3: 'http3',
  http_ssl: 'tls',
  stream: 'stream',
  stream_ssl: 'stream_tls',
  http_stub_status: 'stub_status',
  http_realip: 'real_ip',
}

function capabilitiesOf(facts: AgentFacts): string[] {
  const derived = facts.render.modules.flatMap(
    module => MODULE_CAPABILITIES[module.replace(/_module$/, '')] ?? [],
  )
  return [...new Set([...facts.capabilities, ...derived])].sort()
}

/** Whether a connection may be signed with the key: a secondary and a candidate until their time, whoever sweeps when. */
export function keyIsLive(key: Pick<AgentKeyRow, 'status' | 'ends_at'>, now: Date): boolean {
  if (key.status === 'primary') return true
  return key.status !== 'ended' && key.ends_at !== null && Date.parse(key.ends_at) > now.getTime()
}

export const keyOf = (row: AgentKeyRow, now: Date): AgentKey => ({
  id: row.id,
  status: keyIsLive(row, now) ? (row.status as AgentKey['status']) : 'ended',
  created_at: row.created_at,
  ends_at: row.ends_at,
  ended_at: row.ended_at,
})

/** The name, or the name with the first free number behind it, still within the limit. */
export function* candidateNames(name: string, tries: number): Generator<string> {
  yield name.slice(0, LIMITS.name_chars)
  for (let number = 2; number <= tries; number++) {
    const tail = `-${number}`
    yield name.slice(0, LIMITS.name_chars - tail.length) + tail
  }
}

export type TokenFault = 'unknown_token' | 'expired_token' | 'used_up_token'
/** What is said to nobody but the audit log. */
export type RegisterFault = TokenFault | 'address_not_allowed'

export function tokenFault(row: TokenRow | undefined, now: Date): TokenFault | null {
  if (!row) return 'unknown_token'
  if (Date.parse(row.expires_at) <= now.getTime()) return 'expired_token'
  return row.uses >= row.max_uses ? 'used_up_token' : null
}

export interface JoinTarget {
  readonly master_url: string
  readonly ca_fingerprint: string
  /** Of the master's certificate, `sha256/<base64>`. */
  readonly server_key_pin: string
}

export function joinCommand(target: JoinTarget, token: string, pin_server_key: boolean): string {
  const command = `nxmesh-agent join --master-url ${target.master_url} --token ${token} --ca-fingerprint ${target.ca_fingerprint}`
  return pin_server_key ? `${command} --server-key-pin ${target.server_key_pin}` : command
}

export const tokenInfoOf = (row: TokenRow): BootstrapTokenInfo => ({
  id: row.id,
  workspace_id: row.workspace_id,
  agent_id: row.agent_id,
  labels: labelsOf(row.labels_json),
  max_uses: row.max_uses,
  uses: row.uses,
  expires_at: row.expires_at,
  created_by: { type: row.created_by_type as Principal['type'], id: row.created_by_id },
  created_at: row.created_at,
})
