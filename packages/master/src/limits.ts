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
  /** A filtered list looks through the log in pieces, the first of so many rows, and lets others run in between. */
  audit_search_piece_rows: 5_000,
  audit_search_piece_ms: 10,
  audit_search_ms: 5_000,
  audit_actions_per_noun: 500,

  // Tenancy
  organizations: 1_000,
  workspaces_per_organization: 1_000,
  /** That one list looks through when it names none. */
  workspaces_per_list: 2_000,
  workspace_places_cached: 20_000,
  /** Of a deleted workspace, in one transaction. */
  purge_rows: 1_000,
  purge_retry_ms: 10_000,
  workspace_homes_cached: 20_000,

  // Access
  signing_key_days: 30,
  /** How often the use of an API key is written down. */
  api_key_use_noted_ms: 60_000,
  password_different_chars_min: 5,
  /** A token whose key is not known makes the keys be read again, at most this often. */
  signing_keys_reload_ms: 10_000,

  // Identity providers
  provider_answer_s: 10,
  /** Of one issuer: one that hangs must leave requests of `outgoing_at_once` to the others. */
  provider_asked_at_once: 16,
  provider_clock_tolerance_s: 30,
  /** How long what an issuer says of itself is taken from memory, and of how many. */
  discovery_keep_ms: 600_000,
  discoveries_kept: 100,
  /** A longer ID token is not sent along at log-out: URLs have an end. */
  id_token_hint_chars: 4_096,

  // Secrets
  master_key_command_ms: 10_000,
  key_file_bytes: 4_096,
  data_keys: 1_000,
  data_key_age_days: 90,
  /** How soon a master knows of a data key that a command or another master made. */
  data_keys_look_ms: 60_000,
  key_homes: 100,
  /** The master's own reads of secrets: how many wait for their row, in how many of them a row ends, and how long one waits. */
  secret_reads_waiting: 50_000,
  secret_reads_per_row: 500,
  secret_reads_wait_ms: 1_000,
  /** A command waits so long for a running master's write, again and again. */
  command_write_attempts: 6,
  wal_clean_ms: 10_000,

  // Configuration
  config_file_bytes: 1_048_576,

  // Certificates
  certificate_file_bytes: 1_048_576,
  /** How often given files are looked at, and how often the end of our own certificate. */
  certificate_look_ms: 2_000,
  own_certificate_look_ms: 3_600_000,
  /** Certificates that were replaced while sockets live on that were opened with them. */
  listeners_replaced: 16,
  ca_valid_days: 3_650,
  server_certificate_valid_days: 365,
  server_certificate_renew_days: 60,
  /** How long before its end the log warns of a certificate that nobody has replaced. */
  server_certificate_warn_days: 30,

  // Session keys of agents
  agent_key_max_age_days: 3_650,
  agent_key_grace_max_s: 2_592_000,

  // Serving
  idle_timeout_s: 60,
  /** How far back a chain of proxies is followed. */
  proxy_hops: 32,
  channel_idle_timeout_s: 120,
  stop_grace_ms: 5_000,
  held_requests: 2_000,
  /** Bodies that are being read at once: of callers with credentials, and of strangers. A sender is a principal or an address. */
  bodies_bytes: 67_108_864,
  bodies_sender_bytes: 16_777_216,
  public_bodies_bytes: 16_777_216,
  public_bodies_sender_bytes: 1_048_576,
  /** From the head of a request to the last byte of its body. Below the idle timeout, so that it ends with an answer. */
  body_read_ms: 30_000,
  public_body_read_ms: 10_000,

  // Requests to places that people configure
  outgoing_connect_ms: 5_000,
  outgoing_ms: 15_000,
  outgoing_answer_bytes: 1_048_576,
  outgoing_header_bytes: 16_384,
  outgoing_redirects: 3,
  outgoing_addresses_tried: 3,
  outgoing_at_once: 64,
  networks_in_setting: 1_000,
} as const
