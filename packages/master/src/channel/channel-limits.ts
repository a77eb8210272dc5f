/** Bounds of the channel inside the master; those of what crosses the wire are in the contract. */
export const CHANNEL_LIMITS = {
  /** Upgrades whose key is being looked up. */
  upgrades_in_flight: 512,
  admissions_per_s: 500,
  admissions_burst: 1_000,
  nonces_per_agent: 1_000,
  /** What the socket itself may hold; the rest waits unsealed, shared among agents that get the same message. */
  socket_buffer_bytes: 1_048_576,
  /** Messages of one agent that wait for their listeners. */
  inbox_messages: 1_000,
  inbox_bytes: 16_777_216,
  sweep_ms: 1_000,
  /** How long an instance that another one displaced is remembered. */
  displaced_keep_ms: 600_000,
  displaced_agents: 10_000,
  displaced_instances: 8,
  /** Refusals of one kind, from one address, in the name of one agent: one audit row in this time. */
  refusal_quiet_ms: 60_000,
  refusal_keys: 10_000,
  /** Rows that one address may cause: at once, and then one in this time. */
  refusal_address_rows_burst: 20,
  refusal_address_row_ms: 60_000,
  /** The same for all addresses together. */
  refusal_rows_burst: 200,
  refusal_rows_per_s: 2,
} as const
