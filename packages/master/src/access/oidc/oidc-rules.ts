import { hash } from 'node:crypto'
import { LIMITS, values } from '@nxmesh/contract'
import { ProviderError } from './relying-party.ts'

/** What is read out of a provider's words. Pure. */

type Claims = Readonly<Record<string, unknown>>

/** A list of texts, or one text; what else may stand there is no group. */
export function groupsIn(value: unknown): string[] {
  const all: unknown[] = Array.isArray(value) ? value : [value]
  const texts = all.filter(
    (one): one is string => typeof one === 'string' && one !== '' && one.length <= LIMITS.group_chars,
  )
  return [...new Set(texts)]
}

/** A person's name that can be shown; `fallback` when none of the candidates can. */
export function nameFrom(candidates: readonly string[], fallback: string): string {
  for (const one of candidates) {
    const parsed = values.name.safeParse(one.trim())
    if (parsed.success) return parsed.data
  }
  return fallback
}

/** The address in our form; null when it is none. */
export function emailFrom(email: string | null): string | null {
  const parsed = email === null ? null : values.email.safeParse(email)
  return parsed?.success ? parsed.data : null
}

/**
 * The address of an account whose person has no verified address of their own, or one that is somebody's already. It names
 * the identity, so it cannot collide, and nobody receives mail there (RFC 2606).
 */
export const placeholderEmail = (issuer: string, subject: string, provider_id: string): string =>
  `${hash('sha256', JSON.stringify([issuer, subject])).slice(0, 32)}@${provider_id}.invalid`

export const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null

/** The verified address of claims that belong together; undefined where they name none. */
export function verifiedEmailIn(claims: Claims): string | null | undefined {
  const email = textOf(claims.email)
  if (email === null) return undefined
  return claims.email_verified === true ? email : null
}

export const namesIn = (claims: Claims): string[] =>
  [claims.name, claims.preferred_username, claims.nickname].flatMap(one => textOf(one) ?? [])

/**
 * What the library leaves to us of OpenID Connect Core 1.0 section 3.1.3.7: that the token was made for us alone where it says
 * for whom, and that it goes with the access token. `id_token` has been verified.
 */
export function requireForUs(
  id_token: string,
  claims: Claims,
  us: { client_id: string; access_token: string },
): void {
  if (claims.azp !== undefined && claims.azp !== us.client_id)
    throw new ProviderError('The ID token is not accepted: its azp is another client')
  if (claims.at_hash !== undefined && claims.at_hash !== accessTokenHash(id_token, us.access_token))
    throw new ProviderError('The ID token is not accepted: its at_hash is of another access token')
  const subject = textOf(claims.sub)
  if (subject === null || subject.length > LIMITS.subject_chars)
    throw new ProviderError(
      `The ID token is not accepted: its sub must have 1 to ${LIMITS.subject_chars} characters`,
    )
}

/** Section 3.1.3.6: the left half of the hash that the signature's algorithm uses. */
function accessTokenHash(id_token: string, access_token: string): string {
  const header = JSON.parse(Buffer.from(id_token.split('.')[0] ?? '', 'base64url').toString()) as {
    alg?: unknown
  }
  const bits = /(256|384|512)$/.exec(String(header.alg))?.[1] ?? '512'
  const digest = hash(`sha${bits}`, access_token, 'buffer')
  return digest.subarray(0, digest.length / 2).toString('base64url')
}
