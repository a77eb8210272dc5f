import type {
  ApiKeyTable,
  IdentityProviderTable,
  IdentityTable,
  InvitationTable,
  PendingLoginTable,
  ResetLinkTable,
  RoleBindingTable,
  RoleTable,
  SessionTable,
  SigningKeyTable,
  UsedRefreshTokenTable,
  UserTable,
} from './access-tables.ts'
import type {
  AgentKeyTable,
  AgentPositionTable,
  AgentTable,
  BootstrapTokenTable,
  DeploymentTable,
  DeploymentTargetTable,
  RejectedVersionTable,
  ReleaseItemTable,
  ReleaseTable,
  ResourceClaimTable,
  ResourceReferenceTable,
  ResourceTable,
  ResourceVersionTable,
} from './fleet-tables.ts'

/**
 * Every table, with one set of column types that SQLite and PostgreSQL share: text, integer (32 bits), no booleans.
 * Times are RFC 3339 UTC text with milliseconds, so that text order is time order. Columns named `_json` hold JSON text.
 * A table is private to the store of its area.
 */
export interface Tables {
  // access
  users: UserTable
  sessions: SessionTable
  used_refresh_tokens: UsedRefreshTokenTable
  signing_keys: SigningKeyTable
  roles: RoleTable
  role_bindings: RoleBindingTable
  invitations: InvitationTable
  reset_links: ResetLinkTable
  api_keys: ApiKeyTable
  identity_providers: IdentityProviderTable
  identities: IdentityTable
  pending_logins: PendingLoginTable
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
  /** Which master key that is: a fingerprint that tells nothing of it. Null until a start after migration 0004. */
  master_key_id: string | null
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
  /** Not null: it is gone for everybody, and its rows are being deleted. */
  deleted_at: string | null
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
  /** string[] of CIDRs; null: agents may come from everywhere. */
  agent_allowed_cidrs_json: string | null
  /** Not null: it is gone for everybody, and its rows are being deleted. */
  deleted_at: string | null
}
