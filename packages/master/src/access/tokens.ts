import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

/** What a token begins with says what it is: to people, to secret scanners, and to the authenticator. */
export const TOKEN_PREFIX = {
  api_key: 'nxk_',
  refresh: 'nxr_',
  setup: 'nxi_',
  invitation: 'nxv_',
  reset: 'nxp_',
} as const

/** A new token: prefix and 32 random bytes in base64url. Shown once; only its hash is stored. */
export const newToken = (kind: keyof typeof TOKEN_PREFIX): string =>
  TOKEN_PREFIX[kind] + randomBytes(32).toString('base64url')

/** SHA-256, hex. A token has 256 random bits, so a fast hash hides it; passwords take argon2id. */
export const hashToken = (token: string): string => hash('sha256', token)

/** Whether two hashes are the same, in a time that does not tell how far they are. */
export const sameHash = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
