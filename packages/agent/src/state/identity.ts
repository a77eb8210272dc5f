import { hasFields, readJsonFile, writeJsonFile } from './json-file.ts'
import type { StatePaths } from './paths.ts'

/** Who this agent is to its master, and how it knows the master. Made once, by registration. */
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

const isIdentity = (value: unknown): value is Identity => hasFields(value, FIELDS)

/** Null before the agent has registered. @throws StateError */
export function readIdentity(paths: StatePaths): Identity | null {
  return readJsonFile(paths.identity, isIdentity)
}

export function writeIdentity(paths: StatePaths, identity: Identity): void {
  writeJsonFile(paths.identity, identity)
}
