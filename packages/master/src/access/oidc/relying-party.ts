import type { ProviderKind } from '@nxmesh/contract'
import type { CustomFetch } from 'openid-client'

/**
 * How requests go to providers: the shape of the web's `fetch`. Which addresses it may reach is its own affair; redirects are
 * never followed here.
 */
export type OutgoingFetch = CustomFetch

/** One provider, as needed to talk with it. */
export interface ProviderConfig {
  readonly kind: ProviderKind
  readonly issuer: string
  readonly client_id: string
  /** Null: a public client. */
  readonly client_secret: string | null
  readonly scopes: readonly string[]
  readonly groups_claim: string
  /** Whether somebody waits for the groups. */
  readonly wants_groups: boolean
}

/** What ties the provider's answer to the question. Each is 32 random bytes in base64url. */
export interface Checks {
  readonly state: string
  readonly nonce: string
  readonly code_verifier: string
}

export interface CallbackParams {
  readonly code?: string | undefined
  readonly state?: string | undefined
  readonly iss?: string | undefined
  readonly error?: string | undefined
}

/** What a provider told of somebody, verified. */
export interface Told {
  /** Of the ID token: with the subject it is who somebody is. */
  readonly issuer: string
  readonly subject: string
  /** What may be a name, best first. Text from outside. */
  readonly names: readonly string[]
  /** Only when the provider says that it is verified. Text from outside. */
  readonly verified_email: string | null
  readonly groups: readonly string[]
  readonly id_token: string | null
}

/** The client's side of OAuth 2.0 and OpenID Connect: authorization code with PKCE. All throw `ProviderError`. */
export interface RelyingParty {
  /** Whether the provider can be used. */
  check(provider: ProviderConfig): Promise<void>
  /** Where to send the browser. */
  authorizationUrl(provider: ProviderConfig, checks: Checks, redirect_uri: string): Promise<string>
  /** Exchanges the code, and verifies everything that came. */
  finish(
    provider: ProviderConfig,
    params: CallbackParams,
    checks: Checks,
    redirect_uri: string,
  ): Promise<Told>
  /** Where the provider ends its own session; null where it has no such place. */
  logoutUrl(
    provider: ProviderConfig,
    how: { post_logout_redirect_uri: string; id_token: string | null },
  ): Promise<string | null>
}

/**
 * A provider that cannot be reached, or whose answer is not accepted. The message is for administrators and the audit log: it
 * holds no token, no claim and no cause, because those of the libraries carry the provider's answers.
 */
export class ProviderError extends Error {
  override readonly name = 'ProviderError'
  /** The person, or the provider for them, said no. */
  readonly denied: boolean

  constructor(message: string, denied = false) {
    super(message)
    this.denied = denied
  }
}

/** An error of the library in words of ours. */
export function providerError(what: string, error: unknown): ProviderError {
  const chain = causes(error)
  const own = chain.find(one => one instanceof ProviderError)
  if (own) return own as ProviderError
  const outgoing = chain.find(one => one.name === 'OutgoingError')
  if (outgoing) return new ProviderError(`${what}: ${outgoing.message}`)
  // RFC 6749 sections 4.1.2.1 and 5.2: codes are words.
  const code = chain.map(one => one.error).find(one => typeof one === 'string' && /^[a-z_]{1,60}$/.test(one))
  if (code) return new ProviderError(`${what}: the provider answers ${code}`, code === 'access_denied')
  if (chain.some(one => one.name === 'WWWAuthenticateChallengeError'))
    return new ProviderError(`${what}: the provider does not take our credentials (client id and secret)`)
  // Their messages are fixed texts; what came from outside is in their causes.
  const told =
    chain.find(one => one.name === 'OperationProcessingError') ??
    chain.find(one => FIXED.has(String(one.name)))
  if (told && told.message !== 'something went wrong')
    return new ProviderError(`${what}: ${String(told.message)}`)
  return new ProviderError(`${what}: the provider cannot be reached`)
}

const FIXED = new Set(['ClientError', 'UnsupportedOperationError'])

interface Thrown {
  readonly name?: unknown
  readonly message?: unknown
  readonly error?: unknown
  readonly cause?: unknown
}

/** The errors from the outermost in. What is no error ends the chain: it is a part of an answer. */
function causes(error: unknown): Thrown[] {
  const found: Thrown[] = []
  for (let one = error; one instanceof Error && found.length < 8; one = one.cause) found.push(one as Thrown)
  return found
}
