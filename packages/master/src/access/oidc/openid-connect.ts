import { values } from '@nxmesh/contract'
import type { ClientAuth, Configuration, ExportedJWKSCache, ServerMetadata } from 'openid-client'
import { keepNewest } from '../../keep-newest.ts'
import { MASTER_LIMITS } from '../../limits.ts'
import { groupsIn, namesIn, requireForUs, verifiedEmailIn } from './oidc-rules.ts'
import {
  type OutgoingFetch,
  type ProviderConfig,
  ProviderError,
  providerError,
  type RelyingParty,
} from './relying-party.ts'

/** Loaded at the first log-in by a provider: a start need not spend the time. */
export const openidClient = () => import('openid-client')
type Library = Awaited<ReturnType<typeof openidClient>>

export interface PartyDeps {
  readonly fetch: OutgoingFetch
  readonly now: () => Date
}

interface Known {
  readonly metadata: ServerMetadata
  /** The issuer's keys; the library decides when they are read again. */
  keys: ExportedJWKSCache | undefined
  readonly read_ms: number
}

const isPlain = (url: string) => new URL(url).protocol === 'http:'

/**
 * Providers that say of themselves where they are. The library (a certified relying party) checks state, `iss`, the ID token's
 * claims and, because it is told to, its signature by the issuer's keys: never `none`, never a key that both sides know.
 */
export function makeOpenidConnect(deps: PartyDeps): RelyingParty {
  const known = new Map<string, Known>()
  const running = new Map<string, number>()

  const configure = (library: Library, provider: ProviderConfig, server: ServerMetadata): Configuration => {
    const config = new library.Configuration(
      server,
      provider.client_id,
      clientMetadata(library, deps.now),
      clientAuth(library, provider, server),
    )
    tune(library, config, deps.fetch, isPlain(provider.issuer))
    library.enableNonRepudiationChecks(config)
    return config
  }

  const discover = async (library: Library, provider: ProviderConfig): Promise<Known> => {
    const { issuer, client_id } = provider
    const found = await library.discovery(new URL(issuer), client_id, undefined, library.None(), {
      [library.customFetch]: guarded(deps.fetch),
      timeout: MASTER_LIMITS.provider_answer_s,
      ...(isPlain(issuer) ? { execute: [library.allowInsecureRequests] } : {}),
    })
    const metadata = JSON.parse(JSON.stringify(found.serverMetadata())) as ServerMetadata
    requireUsable(metadata, issuer)
    return { metadata, keys: undefined, read_ms: deps.now().getTime() }
  }

  const use = async <T>(
    what: string,
    provider: ProviderConfig,
    work: (library: Library, config: Configuration, metadata: ServerMetadata) => Promise<T>,
    fresh = false,
  ): Promise<T> => {
    const before = running.get(provider.issuer) ?? 0
    if (before >= MASTER_LIMITS.provider_asked_at_once)
      throw new ProviderError(`${what}: ${before} wait for the provider already`)
    running.set(provider.issuer, before + 1)
    try {
      const library = await openidClient()
      const age_ms = deps.now().getTime() - (known.get(provider.issuer)?.read_ms ?? 0)
      if (fresh || age_ms < 0 || age_ms >= MASTER_LIMITS.discovery_keep_ms) known.delete(provider.issuer)
      const entry = known.get(provider.issuer) ?? (await discover(library, provider))
      keepNewest(known, provider.issuer, entry, MASTER_LIMITS.discoveries_kept)
      const config = configure(library, provider, entry.metadata)
      if (entry.keys) library.setJwksCache(config, entry.keys)
      const result = await work(library, config, entry.metadata)
      entry.keys = library.getJwksCache(config)
      return result
    } catch (error) {
      throw providerError(what, error)
    } finally {
      const left = (running.get(provider.issuer) ?? 1) - 1
      if (left > 0) running.set(provider.issuer, left)
      else running.delete(provider.issuer)
    }
  }

  return {
    check: provider => use('Discovery failed', provider, async () => undefined, true),

    authorizationUrl: (provider, checks, redirect_uri) =>
      use('The log-in cannot begin', provider, async (library, config) => {
        const url = library.buildAuthorizationUrl(config, {
          redirect_uri,
          response_type: 'code',
          scope: scopesOf(provider).join(' '),
          state: checks.state,
          nonce: checks.nonce,
          code_challenge: await library.calculatePKCECodeChallenge(checks.code_verifier),
          code_challenge_method: 'S256',
        })
        return url.href
      }),

    finish: (provider, params, checks, redirect_uri) =>
      use('The log-in is not accepted', provider, async (library, config, metadata) => {
        const tokens = await library.authorizationCodeGrant(config, callbackUrl(redirect_uri, params), {
          expectedState: checks.state,
          expectedNonce: checks.nonce,
          pkceCodeVerifier: checks.code_verifier,
          idTokenExpected: true,
        })
        const { id_token, access_token } = tokens
        const claims = tokens.claims()
        if (!claims || id_token === undefined) throw new ProviderError('The provider sent no ID token')
        requireForUs(id_token, claims, { client_id: provider.client_id, access_token })
        const missing =
          (provider.wants_groups && claims[provider.groups_claim] === undefined) ||
          claims.email === undefined ||
          claims.name === undefined
        const more =
          missing && metadata.userinfo_endpoint !== undefined
            ? await library.fetchUserInfo(config, access_token, claims.sub)
            : {}
        return {
          issuer: claims.iss,
          subject: claims.sub,
          names: [...namesIn(claims), ...namesIn(more)],
          verified_email: verifiedEmailIn(claims) ?? verifiedEmailIn(more) ?? null,
          groups: groupsIn(
            claims[provider.groups_claim] ?? (more as Record<string, unknown>)[provider.groups_claim],
          ),
          id_token,
        }
      }),

    logoutUrl: (provider, { post_logout_redirect_uri, id_token }) =>
      use('The provider has no log-out', provider, async (library, config, metadata) => {
        if (metadata.end_session_endpoint === undefined) return null
        const hint = id_token === null ? {} : { id_token_hint: id_token }
        return library.buildEndSessionUrl(config, { post_logout_redirect_uri, ...hint }).href
      }),
  }
}

const scopesOf = ({ scopes }: ProviderConfig): string[] =>
  scopes.includes('openid') ? [...scopes] : ['openid', ...scopes]

export function callbackUrl(redirect_uri: string, params: object): URL {
  const url = new URL(redirect_uri)
  for (const [name, value] of Object.entries(params))
    if (value !== undefined) url.searchParams.set(name, value)
  return url
}

/** Time is told by our clock, with room for the provider's. */
export const clientMetadata = (library: Library, now: () => Date) => ({
  [library.clockSkew]: Math.round((now().getTime() - Date.now()) / 1_000),
  [library.clockTolerance]: MASTER_LIMITS.provider_clock_tolerance_s,
})

/** OpenID Connect Core 1.0 section 9: Basic unless the provider takes only the other. */
export function clientAuth(
  library: Library,
  { client_secret }: ProviderConfig,
  server: ServerMetadata,
): ClientAuth {
  if (client_secret === null) return library.None()
  const taken = server.token_endpoint_auth_methods_supported
  return !taken || taken.includes('client_secret_basic')
    ? library.ClientSecretBasic(client_secret)
    : library.ClientSecretPost(client_secret)
}

export function tune(library: Library, config: Configuration, fetch: OutgoingFetch, plain: boolean): void {
  config[library.customFetch] = guarded(fetch)
  config.timeout = MASTER_LIMITS.provider_answer_s
  if (plain) library.allowInsecureRequests(config)
}

/** Codes and secrets go over plain HTTP to this machine and nowhere else. */
export const guarded =
  (fetch: OutgoingFetch): OutgoingFetch =>
  async (url, options) => {
    const target = new URL(url)
    if (target.protocol !== 'https:' && !values.isLoopback(target))
      throw new ProviderError('The provider names a place without https')
    return await fetch(url, options)
  }

const NEEDED = ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const
const OPTIONAL = ['userinfo_endpoint', 'end_session_endpoint'] as const

function requireUsable(metadata: ServerMetadata, issuer: string): void {
  // The library lets some known hosts speak for every tenant: an issuer is one tenant here.
  if (new URL(metadata.issuer).href !== new URL(issuer).href)
    throw new ProviderError('The discovery document is of another issuer')
  for (const name of [...NEEDED, ...OPTIONAL]) {
    const value: unknown = metadata[name]
    if (value === undefined && (OPTIONAL as readonly string[]).includes(name)) continue
    const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
    const good =
      url?.protocol === 'https:' || (url?.protocol === 'http:' && values.isLoopback(url) && isPlain(issuer))
    if (!good) throw new ProviderError(`The discovery document has no usable ${name}`)
  }
}
