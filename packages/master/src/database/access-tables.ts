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
  /** The identity provider that it began with. */
  provider_id: string | null
  /** For the provider's own log-out, sealed under `sessions/<id>/id_token`. */
  sealed_id_token: string | null
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
  created_by_type: string | null
  created_by_id: string | null
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

export interface IdentityProviderTable {
  id: string
  name: string
  kind: string
  issuer: string
  client_id: string
  /** Sealed under `identity_providers/<id>/client_secret`; null: a public client. */
  sealed_client_secret: string | null
  scopes_json: string
  groups_claim: string
  /** 0 or 1. */
  enabled: number
  allow_sign_up: number
  group_mappings_json: string
  created_at: string
  updated_at: string
}

/** Somebody at an issuer, and the one account that this is. */
export interface IdentityTable {
  id: string
  issuer: string
  subject: string
  /** The provider by which it came last; null when that was deleted. */
  provider_id: string | null
  user_id: string
  created_at: string
  last_login_at: string | null
}

/** A log-in that was begun and did not come back yet. */
export interface PendingLoginTable {
  /** SHA-256 of the state, hex. */
  state_hash: string
  /** SHA-256 of the cookie of the browser that began. */
  binding_hash: string
  provider_id: string
  /** Nonce and code verifier, sealed under `pending_logins/<state_hash>`. */
  sealed_checks: string
  return_to: string
  /** Set: it links an identity to this account, as long as the session lives. */
  user_id: string | null
  session_id: string | null
  /** Of whoever began, as rates count it. */
  address: string
  created_at: string
  expires_at: string
}
