/** The rows of people, machines and what they may do; see tables.ts for what they have in common. */

export interface UserTable {
  id: string
  email: string
  name: string
  /** argon2id; null: only an identity provider lets this person in. */
  password_hash: string | null
  /** `active` or `disabled`. */
  status: string
  created_at: string
  last_login_at: string | null
}

export interface SessionTable {
  id: string
  user_id: string
  /** How it began: see SessionInfo of the contract. */
  method: string
  /** SHA-256 of the refresh token that is good now, hex. */
  refresh_hash: string
  created_at: string
  refreshed_at: string
  expires_at: string
  ip_address: string | null
  user_agent: string | null
}

/** Refresh tokens that were exchanged: whoever shows one again has stolen it, or was stolen from. */
export interface UsedRefreshTokenTable {
  token_hash: string
  session_id: string
  used_at: string
}

export interface SigningKeyTable {
  /** The `kid`. */
  id: string
  public_jwk_json: string
  /** The private JWK, sealed under `signing_keys/<id>`. */
  sealed_key: string
  created_at: string
  /** Signs no more from then on; what it signed is good until its own end. */
  retired_at: string | null
}

export interface RoleTable {
  id: string
  organization_id: string
  name: string
  permissions_json: string
  created_at: string
}

/** One role of one person in one place. */
export interface RoleBindingTable {
  id: string
  user_id: string
  role_id: string
  /** Null: the whole instance. */
  organization_id: string | null
  /** Null: the whole organization. */
  workspace_id: string | null
  /** Set: it follows the groups that this identity provider tells. */
  provider_id: string | null
  created_at: string
}

export interface InvitationTable {
  id: string
  email: string
  name: string | null
  role_id: string
  organization_id: string | null
  workspace_id: string | null
  token_hash: string
  created_by_type: string
  created_by_id: string | null
  created_at: string
  expires_at: string
}

export interface ResetLinkTable {
  id: string
  user_id: string
  token_hash: string
  created_at: string
  expires_at: string
}

export interface ApiKeyTable {
  id: string
  name: string
  prefix: string
  key_hash: string
  role_id: string
  organization_id: string | null
  workspace_id: string | null
  created_by_type: string
  created_by_id: string | null
  created_at: string
  expires_at: string | null
  last_used_at: string | null
}
