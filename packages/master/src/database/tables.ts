/**
 * Every table, with one set of column types that SQLite and PostgreSQL share: text, integer (32 bits), no booleans.
 * Times are RFC 3339 UTC text with milliseconds, so that text order is time order. Columns named `_json` hold JSON text.
 * A table is private to the store of its area.
 */
export interface Tables {
  // access
  users: UserTable
  sessions: SessionTable
  api_keys: ApiKeyTable
  // http
  idempotency_keys: IdempotencyTable
  // database
  instance_facts: InstanceFactTable
  // secrets
  data_keys: DataKeyTable
  // audit
  audit_log: AuditTable
  // tenancy
  organizations: OrganizationTable
  workspaces: WorkspaceTable
  // agents
  agents: AgentTable
  agent_keys: AgentKeyTable
  bootstrap_tokens: BootstrapTokenTable
  // config
  resources: ResourceTable
  resource_versions: ResourceVersionTable
  resource_references: ResourceReferenceTable
  resource_claims: ResourceClaimTable
  // deployments
  releases: ReleaseTable
  release_items: ReleaseItemTable
  deployments: DeploymentTable
  deployment_targets: DeploymentTargetTable
  rejected_versions: RejectedVersionTable
  agent_positions: AgentPositionTable
}

interface UserTable {
  id: string
  email: string
  name: string
  password_hash: string
  role: string
  created_at: string
}

interface SessionTable {
  id: string
  user_id: string
  /** SHA-256 of the token, hex. */
  token_hash: string
  created_at: string
  expires_at: string
}

interface ApiKeyTable {
  id: string
  user_id: string
  name: string
  prefix: string
  key_hash: string
  created_at: string
  expires_at: string | null
  last_used_at: string | null
}

interface IdempotencyTable {
  /** Principal id and the caller's key. */
  principal_id: string
  idempotency_key: string
  /** SHA-256 of method, path and body. */
  request_hash: string
  /** Null while the first request runs. */
  status: number | null
  body: string | null
  headers_json: string | null
  created_at: string
}

/** Facts of this installation: `setup_token_hash`, `epoch`, … */
interface InstanceFactTable {
  key: string
  value: string
}

interface DataKeyTable {
  id: string
  /** AES-256-GCM under the master key, base64url of nonce, ciphertext and tag. */
  wrapped_key: string
  created_at: string
  retired_at: string | null
}

interface AuditTable {
  sequence: number
  id: string
  at: string
  principal_type: string
  principal_id: string | null
  action: string
  object_type: string
  object_id: string | null
  organization_id: string | null
  workspace_id: string | null
  door: string
  ip_address: string | null
  result: string
  before_json: string | null
  after_json: string | null
  hash: string
}

interface OrganizationTable {
  id: string
  name: string
  slug: string
  settings_json: string
  created_at: string
}

interface WorkspaceTable {
  id: string
  organization_id: string
  name: string
  slug: string
  deploy_mode: string
  created_at: string
  /** Fencing: raised by a restore or a move, under this row's lock. */
  epoch: number
  /** The last generation given out in this epoch. */
  generation: number
  /** The number of the newest release, 0 before the first. */
  release_number: number
}

interface AgentTable {
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

interface AgentKeyTable {
  /** The key id. */
  id: string
  agent_id: string
  sealed_key: string
  /** `primary`, `secondary` or `ended`. */
  status: string
  created_at: string
  ended_at: string | null
}

interface BootstrapTokenTable {
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
}

interface ResourceTable {
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

interface ResourceVersionTable {
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

interface ResourceReferenceTable {
  from_kind: string
  from_id: string
  to_kind: string
  to_id: string
}

/** What only one resource of a workspace may have: its name within its kind, a server name on a port. */
interface ResourceClaimTable {
  workspace_id: string
  claim: string
  kind: string
  resource_id: string
}

interface ReleaseTable {
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
interface ReleaseItemTable {
  workspace_id: string
  kind: string
  resource_id: string
  version_number: number
  from_number: number
  to_number: number | null
}

interface DeploymentTable {
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

interface DeploymentTargetTable {
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
interface RejectedVersionTable {
  workspace_id: string
  kind: string
  resource_id: string
  version_number: number
  deployment_id: string
  created_at: string
}

/** What an agent shall serve by the last decision, and what it reported last. */
interface AgentPositionTable {
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
