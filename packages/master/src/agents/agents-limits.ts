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
  /** How long a new session key waits for the agent's proof before it is dropped. */
  key_candidate_ms: 86_400_000,
  /** How long it is remembered that a key ended. */
  key_ended_keep_ms: 604_800_000,
  key_sweep_ms: 1_000,
  /** Agents that one sweep offers new keys to. */
  key_offers_a_sweep: 100,
  aged_keys_a_page: 500,
  aged_key_pages_a_sweep: 20,
  /** Once every aged key was looked at, those of agents that were away are looked at again after this time. */
  aged_keys_rest_ms: 10_000,
  keys_over_every_ms: 5_000,
} as const
