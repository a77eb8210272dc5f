import type { KeptKeys } from '../link/session-keys.ts'
import { hasFields, isRecord, readJsonFile, writeJsonFile } from './json-file.ts'
import type { StatePaths } from './paths.ts'

/** Who this agent is to its master, and how it knows the master. Made by registration; the session keys are rotated. */
export interface Identity {
  readonly agent_id: string
  readonly workspace_id: string
  readonly name: string
  readonly key_id: string
  /** base64url, 32 bytes. */
  readonly session_key: string
  readonly master_url: string
  /** The master's private CA; every connection after the first is verified with it. */
  readonly ca_pem: string
  readonly server_name: string
  /** A second session key, while one replaces the other. */
  readonly other_key?: KeptKeys['other_key']
  /** What the master's key must be, beside being signed by the CA; absent or empty: any. */
  readonly server_key_pins?: readonly string[]
}

const FIELDS = {
  agent_id: 'string',
  workspace_id: 'string',
  name: 'string',
  key_id: 'string',
  session_key: 'string',
  master_url: 'string',
  ca_pem: 'string',
  server_name: 'string',
}

const isIdentity = (value: unknown): value is Identity =>
  isRecord(value) && hasFields(value, FIELDS) && isOtherKey(value.other_key) && isPins(value.server_key_pins)

const isOtherKey = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (hasFields(value, { key_id: 'string', session_key: 'string', role: 'string' }) &&
    ['candidate', 'previous'].includes((value as { role: string }).role))

const isPins = (value: unknown): boolean =>
  value === undefined || (Array.isArray(value) && value.every(one => typeof one === 'string'))

/** Null before the agent has registered. @throws StateError */
export function readIdentity(paths: StatePaths): Identity | null {
  return readJsonFile(paths.identity, isIdentity)
}

export function writeIdentity(paths: StatePaths, identity: Identity): void {
  writeJsonFile(paths.identity, identity)
}
