import type { Logger } from 'pino'
import type { Database } from '../../database/database.ts'
import { MASTER_LIMITS } from '../../limits.ts'
import type { Caller } from '../caller.ts'
import type { Sessions } from '../sessions-service.ts'
import { type SessionRow, sessionById } from '../sessions-store.ts'
import { configOf } from './provider-rules.ts'
import type { ProviderSecrets } from './provider-secrets.ts'
import { providerById } from './providers-store.ts'
import type { RelyingParty } from './relying-party.ts'

/**
 * Ends the caller's session, and answers where its identity provider ends its own (OpenID Connect RP-Initiated Logout 1.0);
 * null where there is no such place. Ours ends in any case. Throws CONFLICT for an API key.
 */
export type Logout = (caller: Caller) => Promise<string | null>

export interface LogoutDeps {
  readonly database: Database
  readonly sessions: Sessions
  readonly party: RelyingParty
  readonly provider_secrets: ProviderSecrets
  readonly masterUrl: () => string
  readonly log: Logger
}

export function makeLogout(deps: LogoutDeps): Logout {
  const { database, sessions, party, provider_secrets } = deps

  const urlFor = async (session: SessionRow): Promise<string | null> => {
    const provider =
      session.provider_id === null ? undefined : await providerById(database.read, session.provider_id)
    if (!provider) return null
    const id_token = await provider_secrets.idToken(session)
    const short = id_token !== null && id_token.length <= MASTER_LIMITS.id_token_hint_chars
    return await party.logoutUrl(configOf(provider, null), {
      post_logout_redirect_uri: `${deps.masterUrl()}/login`,
      id_token: short ? id_token : null,
    })
  }

  return async caller => {
    const session =
      caller.session_id === null ? undefined : await sessionById(database.read, caller.session_id)
    await sessions.logout(caller)
    if (!session) return null
    try {
      return await urlFor(session)
    } catch (err) {
      deps.log.warn(
        { err, provider_id: session.provider_id },
        'The log-out place of an identity provider is not known',
      )
      return null
    }
  }
}
