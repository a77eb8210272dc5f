import type { Configuration } from 'openid-client'
import { MASTER_LIMITS } from '../../limits.ts'
import { groupsIn, textOf } from './oidc-rules.ts'
import {
  callbackUrl,
  clientAuth,
  clientMetadata,
  guarded,
  openidClient,
  type PartyDeps,
  tune,
} from './openid-connect.ts'
import type { ProviderEndpoints } from './provider-endpoints.ts'
import { type ProviderConfig, ProviderError, providerError, type RelyingParty } from './relying-party.ts'

/** OAuth 2.0 alone: who somebody is, GitHub's API says, to the access token. */
export function makeGithub(deps: PartyDeps & { endpoints: ProviderEndpoints['github'] }): RelyingParty {
  const { endpoints } = deps
  const { authorization_endpoint, token_endpoint } = endpoints
  const plain = token_endpoint.startsWith('http:')
  // RFC 9207: should GitHub say who answers, it is this.
  const server = {
    issuer: new URL('/login/oauth', authorization_endpoint).href,
    authorization_endpoint,
    token_endpoint,
  }
  const fetch = guarded(deps.fetch)

  const configure = async (provider: ProviderConfig) => {
    const library = await openidClient()
    const metadata = { ...server, token_endpoint_auth_methods_supported: ['client_secret_post'] }
    const config: Configuration = new library.Configuration(
      metadata,
      provider.client_id,
      clientMetadata(library, deps.now),
      clientAuth(library, provider, metadata),
    )
    tune(library, config, deps.fetch, plain)
    return { library, config }
  }

  const ask = async (access_token: string, path: string): Promise<unknown> => {
    const response = await fetch(endpoints.api + path, {
      method: 'GET',
      body: null,
      headers: {
        accept: 'application/vnd.github+json',
        authorization: `Bearer ${access_token}`,
        'user-agent': 'NxMesh',
        'x-github-api-version': '2022-11-28',
      },
      redirect: 'manual',
      signal: AbortSignal.timeout(MASTER_LIMITS.provider_answer_s * 1_000),
    })
    if (response.status !== 200)
      throw new ProviderError(`The log-in is not accepted: GitHub answers ${response.status} to GET ${path}`)
    return await response.json()
  }

  const groupsOf = async (access_token: string): Promise<string[]> => {
    const organizations = listOf(await ask(access_token, '/user/orgs?per_page=100'))
    const teams = listOf(await ask(access_token, '/user/teams?per_page=100'))
    return groupsIn([
      ...organizations.map(one => one.login),
      ...teams.map(one => `${textOf((one.organization as Fields | undefined)?.login)}/${textOf(one.slug)}`),
    ])
  }

  return {
    check: async () => undefined,

    async authorizationUrl(provider, { state, code_verifier }, redirect_uri) {
      const { library, config } = await configure(provider)
      const code_challenge = await library.calculatePKCECodeChallenge(code_verifier)
      const scope = provider.scopes.join(' ')
      const asked = { redirect_uri, scope, state, code_challenge, code_challenge_method: 'S256' }
      return library.buildAuthorizationUrl(config, asked).href
    },

    async finish(provider, params, checks, redirect_uri) {
      try {
        const { library, config } = await configure(provider)
        const { access_token } = await library.authorizationCodeGrant(
          config,
          callbackUrl(redirect_uri, params),
          {
            expectedState: checks.state,
            pkceCodeVerifier: checks.code_verifier,
          },
        )
        const user = (await ask(access_token, '/user')) as Fields
        if (!Number.isSafeInteger(user.id))
          throw new ProviderError('The log-in is not accepted: GitHub names no user id')
        const asks = (scope: string) => provider.scopes.includes(scope)
        const emails =
          asks('user:email') || asks('user') ? listOf(await ask(access_token, '/user/emails')) : []
        const primary = emails.find(one => one.primary === true && one.verified === true)
        return {
          issuer: endpoints.issuer,
          subject: String(user.id),
          names: [user.name, user.login].flatMap(one => textOf(one) ?? []),
          verified_email: textOf(primary?.email),
          groups: provider.wants_groups ? await groupsOf(access_token) : [],
          id_token: null,
        }
      } catch (error) {
        throw providerError('The log-in is not accepted', error)
      }
    },

    logoutUrl: async () => null,
  }
}

type Fields = Readonly<Record<string, unknown>>

const listOf = (value: unknown): Fields[] =>
  Array.isArray(value) ? value.filter(one => typeof one === 'object' && one !== null) : []
