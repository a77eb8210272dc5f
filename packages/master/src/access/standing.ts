import type { Database } from '../database/database.ts'
import { type Authenticator, apiKeyNow, type Origin, sessionNow, type Verified } from './authenticator.ts'
import type { Caller } from './caller.ts'
import { sessionByRefresh } from './sessions-store.ts'
import type { SigningKeys } from './signing-keys-service.ts'
import { hashToken } from './tokens.ts'

/** Who is behind a socket that stays open, until when. It holds no token: what is asked again is the session or the key. */
export interface Standing {
  readonly caller: Caller
  /** The session or the API key. */
  readonly credential_id: string
  /** When it ends by itself, in milliseconds since the epoch; Infinity: never. */
  readonly ends_ms: number
  /** When the token that was shown ends; Infinity where none was that does. */
  readonly token_ends_ms: number
}

/** Logging in through doors that stay open. Each of these asks the database. */
export interface Standings {
  /** For an access token or an API key; null when it is not valid. */
  ofToken(token: string, origin: Origin): Promise<Standing | null>
  /** For the refresh token of a browser's cookie, which is not used up by it; null when it is not the newest of a session. */
  ofRefreshToken(refresh_token: string, origin: Origin): Promise<Standing | null>
  /** As it is now; null when it has ended. */
  again(standing: Standing): Promise<Standing | null>
}

export interface StandingsDeps {
  readonly database: Database
  readonly authenticator: Pick<Authenticator, 'authenticate'>
  readonly signing_keys: Pick<SigningKeys, 'verify'>
  readonly now: () => Date
}

export function makeStandings({ database, authenticator, signing_keys, now }: StandingsDeps): Standings {
  const sessionStanding = async (session_id: string, token_ends_ms: number, origin: Origin) => {
    const found = await sessionNow(database, session_id, now().getTime())
    return found ? standing(found, token_ends_ms, origin, now()) : null
  }
  const keyStanding = async (key_id: string, origin: Origin) => {
    const found = await apiKeyNow(database, key_id, now().getTime())
    return found ? standing(found, Number.POSITIVE_INFINITY, origin, now()) : null
  }

  return {
    async ofToken(token, origin) {
      // First as everywhere, which also notes the use of a key.
      const known = await authenticator.authenticate(`Bearer ${token}`, origin)
      if (!known) return null
      const { principal, session_id } = known
      if (session_id === null) return principal.id === null ? null : await keyStanding(principal.id, origin)
      const claims = await signing_keys.verify(token)
      return claims ? await sessionStanding(session_id, claims.expires_ms, origin) : null
    },
    async ofRefreshToken(refresh_token, origin) {
      const row = await sessionByRefresh(database.read, hashToken(refresh_token))
      return row ? await sessionStanding(row.id, Number.POSITIVE_INFINITY, origin) : null
    },
    async again({ caller, credential_id, token_ends_ms }) {
      return caller.session_id === null
        ? await keyStanding(credential_id, caller)
        : await sessionStanding(credential_id, token_ends_ms, caller)
    },
  }
}

function standing(found: Verified, token_ends_ms: number, origin: Origin, now: Date): Standing | null {
  const ends_ms = Math.min(found.expires_ms, token_ends_ms)
  if (ends_ms <= now.getTime()) return null
  const { principal, name, email, grants, permissions, session_id } = found
  const { ip_address, request_id } = origin
  return {
    caller: {
      principal,
      name,
      email,
      grants,
      permissions,
      session_id,
      door: 'events',
      ip_address,
      request_id,
    },
    credential_id: found.id,
    ends_ms,
    token_ends_ms,
  }
}
