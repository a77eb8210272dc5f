/**
 * Envelope encryption: AES-256-GCM under a data key, which is wrapped by the master key. `identity` (for example
 * `agent_keys/<id>`) is associated data: a sealed value moved to another record does not open.
 */
export interface Secrets {
  seal(plaintext: Uint8Array, identity: string): string
  /** Throws when the value was tampered with, moved, or sealed under another master key. */
  open(sealed: string, identity: string): Uint8Array
}
