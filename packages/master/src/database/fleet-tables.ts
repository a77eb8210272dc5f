/** The rows of agents, configuration and deployments; see tables.ts for what they have in common. */

export interface AgentTable {
  id: string
  workspace_id: string
  name: string
  hostname: string
  ip_address: string
  version: string
  /** `pending` until the first connection; whether it is online now is known to the channel. */
  state: string
  state_reason: string | null
  deployment_mode: string
  last_seen_at: string | null
  labels_json: string
  /** AgentFacts of the contract; null before the first connection. */
  facts_json: string | null
  created_at: string
}

export interface AgentKeyTable {
  /** The key id. */
  id: string
  agent_id: string
  /** Empty once the key has ended. */
  sealed_key: string
  /** `primary`, `secondary`, `candidate` or `ended`; of an agent at most one is primary and one a candidate. */
  status: string
  created_at: string
  /** When a secondary ends, and when a candidate that nobody proved is dropped. */
  ends_at: string | null
  ended_at: string | null
}

export interface BootstrapTokenTable {
  id: string
  workspace_id: string
  agent_id: string | null
  token_hash: string
  max_uses: number
  uses: number
  expires_at: string
  created_by_type: string
  created_by_id: string | null
  created_at: string
  /** Of the agents that register with it. */
  labels_json: string
}

export interface ResourceTable {
  id: string
  workspace_id: string
  kind: string
  name: string
  version_number: number
  data_json: string
  created_at: string
  updated_at: string
  deleted_at: string | null
}

export interface ResourceVersionTable {
  id: string
  workspace_id: string
  resource_type: string
  resource_id: string
  version_number: number
  /** Null in the version that deletes the resource. */
  data_json: string | null
  checksum: string
  created_by_type: string
  created_by_id: string | null
  created_at: string
  change_summary: string
}

export interface ResourceReferenceTable {
  from_kind: string
  from_id: string
  to_kind: string
  to_id: string
}

/** What only one resource of a workspace may have: its name within its kind, a server name on a port. */
export interface ResourceClaimTable {
  workspace_id: string
  claim: string
  kind: string
  resource_id: string
}

export interface ReleaseTable {
  id: string
  workspace_id: string
  number: number
  created_by_type: string
  created_by_id: string | null
  created_at: string
  /** CarriedResource[] of the contract. */
  carried_json: string
}

/**
 * Which version of a resource is in which releases: from `from_number` on, to `to_number` (exclusive, null: still).
 * A release of 5,000 resources that changes one writes two rows.
 */
export interface ReleaseItemTable {
  workspace_id: string
  kind: string
  resource_id: string
  version_number: number
  from_number: number
  to_number: number | null
}

export interface DeploymentTable {
  id: string
  workspace_id: string
  release_id: string
  release_number: number
  state: string
  trigger_name: string
  reason: string | null
  epoch: number
  generation: number
  created_by_type: string
  created_by_id: string | null
  created_at: string
  started_at: string | null
  /** Durable before the first commit message is sent. */
  decided_at: string | null
  finished_at: string | null
  /** The deployment that carries on what this one did not bring: the absorber, or the next attempt. */
  followed_by: string | null
}

export interface DeploymentTargetTable {
  deployment_id: string
  agent_id: string
  /** The agent's name at the time, kept for the record. */
  agent_name: string
  state: string
  epoch: number
  generation: number
  bundle_hash: string | null
  tree_hash: string | null
  error_json: string | null
  swapped_back: number
  timings_json: string
  desired_at: string | null
  delivered_at: string | null
  prepared_at: string | null
  committed_at: string | null
  loaded_at: string | null
  serving_at: string | null
  failed_at: string | null
}

/** A version that nginx refused: automatic releases carry the last deployed one until there is a newer. */
export interface RejectedVersionTable {
  workspace_id: string
  kind: string
  resource_id: string
  version_number: number
  deployment_id: string
  created_at: string
}

/** What an agent shall serve by the last decision, and what it reported last. */
export interface AgentPositionTable {
  agent_id: string
  desired_deployment_id: string | null
  desired_release_number: number | null
  desired_epoch: number
  desired_generation: number
  desired_bundle_hash: string | null
  serving_deployment_id: string | null
  serving_release_number: number | null
  serving_bundle_hash: string | null
  serving_tree_hash: string | null
  serving_since: string | null
  /** The highest order that the agent has answered, as it reported. */
  epoch: number
  generation: number
  last_error: string | null
  hold_since: string | null
  hold_reason: string | null
}
