/** Bounds of the events socket inside the master; those that a client meets are in the contract. */
export const EVENTS_LIMITS = {
  /** Upgrades whose credentials are being looked up. */
  upgrades_in_flight: 128,
  /** What strangers may try, for each address; who shows valid credentials counts as principal. */
  address_burst_upgrades: 120,
  address_upgrades_per_s: 2,
  principal_burst_upgrades: 200,
  principal_upgrades_per_s: 2,
  /** Sockets that are not logged in yet. The TLS listener lets them send frames as large as those of agents. */
  strangers: 128,
  strangers_per_address: 16,
  /** Messages of one client that wait for the one before them. */
  inbox_messages: 60,
  /** What the socket itself may hold; the rest waits as text that all readers share. */
  socket_buffer_bytes: 65_536,
  sweep_ms: 1_000,
  /** When who reads is asked for again; with the sweep and the wait it stays below LIMITS.events_check_ms. */
  check_after_ms: 2_500,
  check_wait_ms: 1_200,
  checks_at_once: 64,
  /** How long a reader that is being closed has to take what was on its way. */
  close_grace_ms: 5_000,
  /** Places in which something changed, of one gathering. */
  gathered_places: 5_000,
} as const
