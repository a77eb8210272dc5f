/** Bounds inside the master; those of what crosses a wire are in the contract. Units stand last in the names. */
export const MASTER_LIMITS = {
  // Database
  writes_waiting: 2_000,
  write_wait_ms: 30_000,
  write_attempts: 8,
  write_retry_max_ms: 200,
  statements_cached: 256,
  sqlite_busy_ms: 5_000,
  sqlite_wal_keep_bytes: 67_108_864,
  sqlite_check_at_start_bytes: 16_777_216,
  postgres_connections: 10,
  postgres_connect_ms: 10_000,
  postgres_statement_ms: 30_000,
  postgres_idle_in_transaction_ms: 60_000,

  // Audit
  audit_value_bytes: 262_144,
  audit_verify_page_rows: 1_000,

  // Tenancy
  organizations: 1_000,
  workspaces_per_organization: 1_000,
  /** That one list looks through when it names none. */
  workspaces_per_list: 2_000,
  workspace_places_cached: 20_000,
  /** Of a deleted workspace, in one transaction. */
  purge_rows: 1_000,
  purge_retry_ms: 10_000,

  // Access
  signing_key_days: 30,
  /** A token whose key is not known makes the keys be read again, at most this often. */
  signing_keys_reload_ms: 10_000,

  // Secrets
  master_key_command_ms: 10_000,
  key_file_bytes: 4_096,

  // Configuration
  config_file_bytes: 1_048_576,

  // Certificates, in days
  ca_valid_days: 3_650,
  server_certificate_valid_days: 365,
  server_certificate_renew_days: 60,

  // Serving
  idle_timeout_s: 60,
  channel_idle_timeout_s: 120,
  stop_grace_ms: 5_000,
  held_requests: 2_000,
  /** Bodies that are being read at once: of callers with credentials, and of strangers. A sender is a principal or an address. */
  bodies_bytes: 67_108_864,
  bodies_sender_bytes: 16_777_216,
  public_bodies_bytes: 16_777_216,
  public_bodies_sender_bytes: 1_048_576,
} as const
