/** Every bound of what crosses a wire, in one place. Units stand last in the names. */
export const LIMITS = {
  // Requests
  body_bytes: 1_048_576,
  /** Of endpoints that take no credentials: what strangers can make the master hold. */
  public_body_bytes: 16_384,
  json_depth: 32,
  url_bytes: 8_192,
  page_default: 20,
  page_max: 200,
  page_number_max: 100_000,
  wait_default_s: 30,
  wait_max_s: 120,
  idempotency_key_chars: 128,
  idempotency_keep_h: 24,
  error_details: 100,

  // Access
  access_token_s: 900,
  /** A session ends when it was not refreshed for this long, and at the latest after the other. */
  session_idle_h: 12,
  session_max_h: 168,
  refresh_rotations: 4_000,
  user_agent_chars: 256,
  users: 20_000,
  invitation_h: 72,
  /** That wait: of each organization, and of the instance itself. */
  invitations: 2_000,
  reset_link_h: 24,
  roles_per_organization: 200,
  bindings_per_user: 500,
  sessions_per_user: 100,
  /** Of each organization, and of the instance itself. */
  api_keys: 1_000,
  /** How long a verified token is trusted without asking the database again. */
  token_cache_ms: 5_000,
  token_cache_entries: 20_000,
  password_checks_at_once: 2,
  password_checks_of_strangers: 1,
  /** Hashes that wait: for each degree of trust, and of one sender. */
  password_checks_waiting: 64,
  password_checks_of_sender: 8,

  // Identity providers
  identity_providers: 50,
  client_id_chars: 512,
  client_secret_chars: 1_024,
  scopes: 30,
  scope_chars: 256,
  claim_chars: 256,
  group_chars: 256,
  group_mappings: 200,
  /** Groups of one person that roles are mapped to. */
  groups_per_login: 200,
  subject_chars: 255,
  identities_per_user: 20,
  authorization_code_chars: 4_096,
  /** Log-ins that were begun and not finished: of all, of one address, and for how long. */
  pending_logins: 10_000,
  pending_logins_of_address: 200,
  pending_login_s: 600,

  // Rates: what may come at once, and what flows in for each second; of a user or API key, and of an address without credentials
  rate_keys: 50_000,
  principal_read_burst_requests: 10_000,
  principal_read_requests_per_s: 2_000,
  principal_write_burst_requests: 5_000,
  principal_write_requests_per_s: 200,
  principal_credentials_burst_requests: 30,
  principal_credentials_requests_per_s: 0.5,
  address_read_burst_requests: 300,
  address_read_requests_per_s: 30,
  address_write_burst_requests: 100,
  address_write_requests_per_s: 10,
  /** Room for a fleet behind one address that joins at once. */
  address_credentials_burst_requests: 200,
  address_credentials_requests_per_s: 10,
  login_burst_attempts: 10,
  login_attempts_per_s: 0.1,
  login_address_burst_attempts: 60,
  login_address_attempts_per_s: 1,
  /** Of all the addresses together from which a wrong password came lately. */
  login_suspicious_burst_attempts: 50,
  login_suspicious_attempts_per_s: 10,
  login_failure_keep_ms: 3_600_000,
  /** Audit rows of what strangers were refused, log-ins and set-up: what is more is counted. */
  login_refusal_rows_burst: 200,
  login_refusal_rows_per_s: 2,

  // Text
  name_chars: 128,
  slug_chars: 63,
  email_chars: 254,
  password_min_chars: 12,
  password_max_chars: 256,
  summary_chars: 500,
  message_chars: 4_000,
  token_chars: 256,

  // Tenancy
  cross_workspace_reads: 200,
  cross_workspace_readers: 200,
  allowed_cidrs: 500,
  cidr_chars: 50,

  // Audit
  /** How far a list with a filter counts and reaches. */
  audit_rows_counted: 10_000,
  audit_word_chars: 64,
  audit_object_id_chars: 300,
  ip_address_chars: 45,
  time_chars: 40,

  // Configuration
  server_name_chars: 4_000,
  server_names: 64,
  host_name_chars: 253,
  path_chars: 1_000,
  url_chars: 2_000,
  locations: 200,
  headers: 64,
  header_name_chars: 128,
  header_value_chars: 2_000,
  index_chars: 500,
  upstream_servers: 256,
  address_chars: 300,
  weight_max: 65_535,
  max_fails_max: 1_000_000,
  fail_timeout_max_s: 86_400,
  keepalive_connections_max: 65_535,
  keepalive_timeout_max_s: 86_400,
  resources_per_kind: 20_000,

  // Agents
  agents_per_workspace: 20_000,
  agent_ids: 1_000,
  labels: 64,
  label_key_chars: 63,
  label_value_chars: 63,
  match_expressions: 32,
  match_values: 64,
  bootstrap_token_max_h: 24 * 30,
  bootstrap_token_default_h: 24,
  bootstrap_token_uses_max: 10_000,
  api_key_max_days: 3_660,

  // Channel
  /** Of what the master sends: room for a manifest with the most entries. */
  frame_bytes: 8_388_608,
  /** Of what the master takes, on whatever socket: it holds so much for everyone who sends a frame and does not end it. */
  frame_in_bytes: 1_048_576,
  /** Objects that one message asks for; more are asked for by several. */
  need_hashes: 5_000,
  frame_object_bytes: 786_432,
  object_bytes: 524_288,
  manifest_entries: 50_000,
  channel_queue_bytes: 67_108_864,
  clock_skew_ms: 60_000,
  nonce_keep_ms: 180_000,
  nonces: 100_000,
  heartbeat_ms: 10_000,
  silence_ms: 30_000,
  handshake_ms: 10_000,
  reconnect_min_ms: 250,
  reconnect_max_ms: 30_000,
  retry_later_max_ms: 60_000,

  // Events socket
  events_login_ms: 10_000,
  /** Of a message of a client, and of one of the master (a larger audit entry is shortened). */
  events_frame_bytes: 16_384,
  events_event_bytes: 65_536,
  events_token_chars: 2_048,
  events_id_chars: 64,
  events_subscriptions: 50,
  events_messages_burst: 100,
  events_messages_per_s: 10,
  events_sockets: 5_000,
  events_sockets_per_principal: 50,
  /** What waits for one reader; more, or nothing read for the time, and it is cut. */
  events_queue_bytes: 1_048_576,
  events_queue_messages: 2_000,
  events_stuck_ms: 30_000,
  /** Changes of one thing, and of one topic, are told together at most this often. */
  events_gather_ms: 200,
  /** Of one place in that time; what is more is told as a resync. */
  events_batch: 100,
  /** Who reads, and what they may see, is never older than this. */
  events_check_ms: 5_000,
  events_ping_ms: 25_000,
  events_silence_ms: 75_000,

  // Deployment
  /** Of a delivery of few objects; each object that must be sent adds to it, up to the most. */
  prepare_deadline_ms: 10_000,
  prepare_deadline_object_ms: 2,
  prepare_deadline_max_ms: 120_000,
  commit_deadline_ms: 30_000,
  deployments_kept: 1_000,
  deployment_folders_kept: 5,
} as const
