import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { id, name, secretToken, text, time } from '../values.ts'
import { Principal } from './common.ts'

/** CF-002. `maintenance` is entered by hand, the others follow from what the agent does. */
export const AgentState = z.enum(['pending', 'online', 'offline', 'degraded', 'maintenance'])
export type AgentState = z.infer<typeof AgentState>
export const DeploymentMode = z.enum(['standalone', 'docker_sidecar', 'k8s_sidecar'])

const LABEL_KEY = /^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/
export const labelKey = z
  .string()
  .min(1)
  .max(LIMITS.label_key_chars)
  .regex(LABEL_KEY)
  .refine(key => key !== 'constructor' && key !== 'prototype', 'is reserved')
export const labelValue = z.string().max(LIMITS.label_value_chars).regex(LABEL_VALUE)
export const Labels = z
  .record(labelKey, labelValue)
  .refine(labels => Object.keys(labels).length <= LIMITS.labels, `must be at most ${LIMITS.labels} labels`)
export type Labels = z.infer<typeof Labels>

/** What an agent was last told to serve and what it proved to serve, each with its time. */
export const AgentConfigState = z.object({
  desired_release_number: z.int().nullable(),
  serving_release_number: z.int().nullable(),
  serving_deployment_id: id.nullable(),
  serving_since: time.nullable(),
  last_error: z.string().nullable(),
  hold: z
    .object({ since: time, reason: z.string() })
    .nullable()
    .describe('Set by a local `nxmesh-agent rollback`'),
})

export const Agent = z.object({
  id,
  workspace_id: id,
  name: z.string(),
  hostname: z.string(),
  ip_address: z.string(),
  version: z.string(),
  state: AgentState,
  state_reason: z.string().nullable(),
  deployment_mode: DeploymentMode,
  last_seen_at: time.nullable(),
  capabilities: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
  nginx_version: z.string().nullable(),
  config: AgentConfigState,
  created_at: time,
})
export type Agent = z.infer<typeof Agent>

export const AgentCreate = z.strictObject({
  workspace_id: id,
  name,
  labels: Labels.default({}),
  deployment_mode: z.literal('standalone').default('standalone').describe('The sidecar modes come later'),
})
export const AgentPatch = z.strictObject({ name: name.optional(), labels: Labels.optional() })

/** Of an agent that is there already, with its labels. */
export const AgentTokenCreate = z.strictObject({
  expires_in_h: z.int().min(1).max(LIMITS.bootstrap_token_max_h).default(LIMITS.bootstrap_token_default_h),
  max_uses: z.int().min(1).max(LIMITS.bootstrap_token_uses_max).default(1),
  pin_server_key: z
    .boolean()
    .default(false)
    .describe('The join command pins the key of the master beside its CA'),
})
export const TokenCreate = AgentTokenCreate.extend({
  labels: Labels.default({}).describe('What each agent that registers with it is labelled with'),
})
/** What is known of a bootstrap token after it was made. */
export const BootstrapTokenInfo = z.object({
  id,
  workspace_id: id,
  agent_id: id.nullable().describe('Set: only this agent may use it. Null: any new agent of the workspace'),
  labels: z.record(z.string(), z.string()),
  max_uses: z.int(),
  uses: z.int(),
  expires_at: time,
  created_by: Principal,
  created_at: time,
})
export type BootstrapTokenInfo = z.infer<typeof BootstrapTokenInfo>
/** A bootstrap token: what lets an agent register. Shown once, stored hashed. */
export const BootstrapToken = BootstrapTokenInfo.extend({
  token: z.string(),
  join_command: z.string().describe('To run on the host of the nginx'),
})
export type BootstrapToken = z.infer<typeof BootstrapToken>

/**
 * A session key of an agent, without the key. `candidate`: made, not yet proved to be kept by the agent; `secondary`: works
 * beside the primary one until `ends_at`.
 */
export const AgentKey = z.object({
  id,
  status: z.enum(['primary', 'secondary', 'candidate', 'ended']),
  created_at: time,
  ends_at: time
    .nullable()
    .describe('When a secondary ends, and when a candidate that nobody proved is dropped'),
  ended_at: time.nullable(),
})
export type AgentKey = z.infer<typeof AgentKey>
/** A rotation that began: it is done when the candidate is the primary key. */
export const AgentKeyRotation = z.object({
  agent_id: id,
  key_id: id.describe('The candidate'),
  offered: z.boolean().describe('false: the agent is not connected; it gets the offer when it is'),
})
export type AgentKeyRotation = z.infer<typeof AgentKeyRotation>

export const AgentRegister = z.strictObject({
  token: secretToken,
  name: name.optional(),
  hostname: text(LIMITS.host_name_chars),
  version: text(64),
})
export const AgentRegistered = z.object({
  agent_id: id,
  workspace_id: id,
  name: z.string(),
  key_id: id,
  session_key: z.string().describe('base64url, 32 bytes'),
})
export type AgentRegistered = z.infer<typeof AgentRegistered>

/** Which agents a virtual host goes to. */
export const MatchExpression = z
  .strictObject({
    key: labelKey,
    operator: z.enum(['in', 'not_in', 'exists', 'not_exists']),
    values: z.array(labelValue).max(LIMITS.match_values).default([]),
  })
  .refine(
    one => one.operator.endsWith('exists') === (one.values.length === 0),
    'values are for in and not_in (at least one), and only for these',
  )
export const AgentSelector = z.union([
  z.strictObject({ all: z.literal(true) }),
  z.strictObject({ agent_ids: z.array(id).max(LIMITS.agent_ids) }),
  z
    .strictObject({
      match_labels: Labels.optional(),
      match_expressions: z.array(MatchExpression).max(LIMITS.match_expressions).optional(),
    })
    .refine(
      one => one.match_labels || one.match_expressions,
      'needs all, agent_ids, match_labels or match_expressions',
    ),
])
export type AgentSelector = z.infer<typeof AgentSelector>

/** Whether a selector picks an agent; the one definition of what a selector means. */
export function selects(selector: AgentSelector, agent: { id: string; labels: Labels }): boolean {
  if ('all' in selector) return true
  if ('agent_ids' in selector) return selector.agent_ids.includes(agent.id)
  const label = (key: string) => (Object.hasOwn(agent.labels, key) ? agent.labels[key] : undefined)
  const equal = Object.entries(selector.match_labels ?? {}).every(([key, value]) => label(key) === value)
  return equal && (selector.match_expressions ?? []).every(one => expressionHolds(one, label(one.key)))
}

function expressionHolds(one: z.infer<typeof MatchExpression>, value: string | undefined): boolean {
  if (one.operator === 'exists') return value !== undefined
  if (one.operator === 'not_exists') return value === undefined
  const within = value !== undefined && one.values.includes(value)
  return one.operator === 'in' ? within : !within
}
