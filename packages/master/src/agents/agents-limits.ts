/** Bounds of the agents' area; those of what crosses a wire are in the contract. */
export const AGENT_AREA_LIMITS = {
  session_keys_cached: 20_000,
  last_seen_every_ms: 10_000,
  last_seen_rows_a_write: 500,
  /** Failed registrations of one address: so many at once, then at this rate. */
  register_failures_burst: 20,
  register_failures_per_s: 0.2,
  register_addresses: 10_000,
  unique_name_tries: 1_000,
  bootstrap_tokens_per_workspace: 1_000,
} as const
