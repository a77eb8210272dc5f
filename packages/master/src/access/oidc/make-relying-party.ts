import { makeGithub } from './github.ts'
import { makeOpenidConnect, type PartyDeps } from './openid-connect.ts'
import type { ProviderEndpoints } from './provider-endpoints.ts'
import type { ProviderConfig, RelyingParty } from './relying-party.ts'

/** Talks to each provider in its way. */
export function makeRelyingParty(deps: PartyDeps & { endpoints: ProviderEndpoints }): RelyingParty {
  const github = makeGithub({ ...deps, endpoints: deps.endpoints.github })
  const openid = makeOpenidConnect(deps)
  const of = ({ kind }: ProviderConfig) => (kind === 'github' ? github : openid)
  return {
    check: provider => of(provider).check(provider),
    authorizationUrl: (provider, ...rest) => of(provider).authorizationUrl(provider, ...rest),
    finish: (provider, ...rest) => of(provider).finish(provider, ...rest),
    logoutUrl: (provider, how) => of(provider).logoutUrl(provider, how),
  }
}
