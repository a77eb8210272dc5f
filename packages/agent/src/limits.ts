/** Bounds of what the agent keeps and waits for; what crosses the wire is bounded in the contract. */
export const AGENT_LIMITS = {
  orders_queued: 64,
  server_key_pins: 4,
  nginx_test_max_ms: 60_000,
  nginx_facts_max_ms: 10_000,
  /** Bind failures alone take nginx 2.5 s of retries. */
  reload_max_ms: 20_000,
  verify_max_ms: 15_000,
  nginx_start_max_ms: 10_000,
  /** How often a port that nobody seems to have is looked at before it counts as taken. */
  port_looks: 4,
  port_look_ms: 50,
  marker_max_ms: 1_000,
  apply_lock_max_ms: 60_000,
  /** Long enough for a `status` that looks whether the lock is held. */
  agent_lock_max_ms: 1_000,
  hold_watch_ms: 1_000,
  facts_watch_ms: 5_000,
  /** Long enough that the next of a series of edits does not have to load its code again. */
  rest_after_ms: 4_000,
  /** Compiled code goes only when several collections have found it unused. */
  rest_rounds: 4,
  rest_every_ms: 15_000,
  poll_ms: 1,
  /** After this long without an outcome the polls come further apart. */
  poll_eager_ms: 3_000,
  poll_patient_ms: 20,
  record_bytes: 32 * 1024 * 1024,
  object_cache_bytes: 1024 * 1024 * 1024,
  need_rounds: 3,
  /** Objects that are asked for are asked for again after this long without any. */
  need_quiet_ms: 1_000,
  /** Objects are swept when so many changed since the last sweep. */
  sweep_after_objects: 1_000,
} as const
