import { z } from 'zod'
import { id, time } from '../values.ts'
import { Principal } from './common.ts'
import { KINDS } from './config.ts'

/**
 * States of a deployment, in order. `queued` waits for the one before it; `preparing` has nothing live touched;
 * `committing` is decided durably; the rest are ends: `applied` (every online target serves it), `rejected` (a target
 * said no in prepare, nothing live was touched), `failed` (decided, but a target could not load it and swapped back),
 * `aborted` (ended without a decision), `superseded` (absorbed by a later one before it began).
 */
export const DEPLOYMENT_STATES = [
  'queued',
  'preparing',
  'committing',
  'applied',
  'rejected',
  'failed',
  'aborted',
  'superseded',
] as const
export const DeploymentState = z.enum(DEPLOYMENT_STATES)
export type DeploymentState = z.infer<typeof DeploymentState>
export const DEPLOYMENT_ENDS: ReadonlySet<DeploymentState> = new Set([
  'applied',
  'rejected',
  'failed',
  'aborted',
  'superseded',
])

/** `offline` targets catch up when they return; `unknown` means silence after the commit, never health. */
export const TARGET_STATES = [
  'pending',
  'offline',
  'delivered',
  'prepared',
  'rejected',
  'unable',
  'committed',
  'loaded',
  'serving',
  'failed',
  'unknown',
  'superseded',
] as const
export const TargetState = z.enum(TARGET_STATES)
export type TargetState = z.infer<typeof TargetState>

/** What nginx, or a rule, said no to. */
export const ConfigError = z.object({
  message: z.string(),
  file: z.string().nullable(),
  line: z.int().nullable(),
  resource: z.object({ kind: z.string(), id: z.string() }).nullable(),
})
export type ConfigError = z.infer<typeof ConfigError>

/** One agent's part of a deployment: each step with the time at which it was proved. */
export const DeploymentTarget = z.object({
  agent_id: id,
  agent_name: z.string(),
  state: TargetState,
  steps: z.object({
    desired_at: time.nullable(),
    delivered_at: time.nullable(),
    prepared_at: time.nullable(),
    committed_at: time.nullable(),
    loaded_at: time.nullable(),
    serving_at: time.nullable(),
    failed_at: time.nullable(),
  }),
  generation: z.int(),
  bundle_hash: z.string().nullable(),
  tree_hash: z.string().nullable().describe('SHA-256 over the rendered files, as the agent reports it'),
  error: ConfigError.nullable(),
  swapped_back: z.boolean(),
  timings_ms: z.record(z.string(), z.number()).describe('How long each step of the agent took'),
})
export type DeploymentTarget = z.infer<typeof DeploymentTarget>

/** A resource that an automatic release carries at an older version because its newest was rejected. */
export const CarriedResource = z.object({
  kind: z.enum(KINDS),
  id,
  version_number: z
    .int()
    .nullable()
    .describe('The version that is deployed; null: none, the resource is left out'),
  rejected_version_number: z.int(),
})
export type CarriedResource = z.infer<typeof CarriedResource>

export const Deployment = z.object({
  id,
  workspace_id: id,
  release_id: id,
  release_number: z.int(),
  state: DeploymentState,
  trigger: z.enum(['change', 'agent_joined', 'agent_returned', 'labels_changed']),
  reason: z.string().nullable().describe('Why it ended as it did, for people'),
  epoch: z.int(),
  generation: z.int(),
  carried: z.array(CarriedResource),
  created_by: Principal,
  created_at: time,
  started_at: time.nullable(),
  decided_at: time.nullable(),
  finished_at: time.nullable(),
  followed_by: id
    .nullable()
    .describe(
      'The deployment that carries on what this one did not bring: its absorber, or the next attempt',
    ),
  targets: z.array(DeploymentTarget),
})
export type Deployment = z.infer<typeof Deployment>

/** In lists: without the targets. */
export const DeploymentSummary = Deployment.omit({ targets: true }).extend({ target_count: z.int() })
export type DeploymentSummary = z.infer<typeof DeploymentSummary>
