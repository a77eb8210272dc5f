import type { Caller } from '../access/caller.ts'
import type { Tx } from '../database/database.ts'

/** What the master opens secrets for by itself. */
export type OwnPurpose =
  | 'agent_connection'
  | 'certificate_authority'
  | 'server_certificate'
  | 'idempotent_answer'
  | 'token_signing'
  | 'provider_login'

/** Who opens a secret, and what for; every opening is in the audit log as `secret.read`. */
export type SecretReader = OwnRead | CausedRead

/** The master's own: collected, and written some at a time. */
export interface OwnRead {
  readonly purpose: OwnPurpose
}

/** Caused by somebody: the secret is given out only when its row is written. */
export interface CausedRead {
  readonly caller: Caller
  /** One word, e.g. `private_key_download`. */
  readonly purpose: string
  /** Where the secret belongs to a workspace. */
  readonly workspace_id?: string | null
  /** The transaction that the row shall stand or fall with; without it the row gets one of its own. */
  readonly tx?: Tx
}

/**
 * Envelope encryption: AES-256-GCM under a data key, which is wrapped by the master key. `identity` (for example
 * `agent_keys/<id>`) is associated data: a sealed value moved to another record does not open.
 */
export interface Secrets {
  seal(plaintext: Uint8Array, identity: string): string
  /**
   * Throws `SecretDamagedError` when the value was changed, moved, or sealed under a data key that is not here; and what the
   * audit log throws when a caller's row cannot be written.
   */
  open(sealed: string, identity: string, reader: SecretReader): Promise<Uint8Array>
}

/** A value that does not open: never a wrong secret in its place. */
export class SecretDamagedError extends Error {
  override readonly name = 'SecretDamagedError'
  readonly identity: string
  constructor(identity: string, why: string, cause?: unknown) {
    super(`The secret ${identity} does not open: ${why}.`, { cause })
    this.identity = identity
  }
}
