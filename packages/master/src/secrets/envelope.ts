import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce, so at most 2^32 messages under one key. `identity` is
 * authenticated beside the ciphertext. Returns base64url of nonce, ciphertext and tag.
 */
export function encrypt(key: Uint8Array, plaintext: Uint8Array, identity: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce)
  cipher.setAAD(Buffer.from(identity))
  const body = [cipher.update(plaintext), cipher.final()]
  return Buffer.concat([nonce, ...body, cipher.getAuthTag()]).toString('base64url')
}

/** Throws when key, identity or any byte differs from what was encrypted. */
export function decrypt(key: Uint8Array, sealed: string, identity: string): Uint8Array {
  const bytes = Buffer.from(sealed, 'base64url')
  // Decoding skips what it does not know; a value must be written in its one way.
  if (bytes.toString('base64url') !== sealed) throw new Error('is not base64url')
  if (bytes.byteLength < NONCE_BYTES + TAG_BYTES) throw new Error('too short to be a sealed value')
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(Buffer.from(identity))
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
}
