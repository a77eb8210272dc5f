/**
 * The events socket's protocol version: one integer, said in the first message. New topics, fields and messages of the master
 * do not raise it, so a reader ignores what it does not know.
 *
 * 1 (2026-11): login, subscribe, unsubscribe; topics deployments, agents, audit; resync.
 */
export const EVENTS_VERSION = 1
