import { LIMITS, type Permission, type Principal } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { Database } from '../database/database.ts'
import { keepNewest } from '../keep-newest.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { unionOf } from './access-rules.ts'
import { type ApiKeyRow, apiKeyByHash, apiKeyById, touchApiKey } from './api-keys-store.ts'
import type { Caller, Grant } from './caller.ts'
import { grantsIn, grantsOfUser } from './grants.ts'
import { liveSession } from './sessions-store.ts'
import type { SigningKeys } from './signing-keys-service.ts'
import { hashToken, TOKEN_PREFIX } from './tokens.ts'

export interface Origin {
  readonly ip_address: string | null
  readonly request_id: string
}

export interface Authenticator {
  /** Who sends this `Authorization` header; null without valid credentials, for whatever reason. */
  authenticate(authorization: string | null, origin: Origin): Promise<Caller | null>
  /**
   * Forgets what it knows of sessions, users or API keys, by their ids; `all` after a change of roles. Call it after the
   * commit: from then on nothing older is trusted.
   */
  forget(ids: readonly string[] | 'all'): void
  /** Told of each forgetting and of what, so that whoever keeps a caller for longer asks again. It must not throw. */
  onForget(listener: (ids: readonly string[] | 'all') => void): void
}

export interface AuthenticatorDeps {
  readonly database: Database
  readonly signing_keys: SigningKeys
  readonly log: Logger
  readonly now: () => Date
}

/** A session or an API key that was good, as the database knew it then. */
export interface Verified {
  /** The session or the API key. */
  readonly id: string
  readonly principal: Principal
  readonly name: string
  readonly email: string | null
  readonly grants: readonly Grant[]
  readonly permissions: ReadonlySet<Permission>
  readonly session_id: string | null
  readonly expires_ms: number
  /** API keys only: when its use was written down last. */
  used_ms: number
  readonly checked_ms: number
}

const BEARER = /^Bearer +([A-Za-z0-9._-]{1,2048})$/i
const API_KEY = new RegExp(`^${TOKEN_PREFIX.api_key}[A-Za-z0-9_-]{43}$`)
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** Knows access tokens and API keys. A verified token is trusted for `LIMITS.token_cache_ms`, unless it is forgotten before. */
export function makeAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { database, log, now } = deps
  const cache = new Map<string, Verified>()
  const listeners: ((ids: readonly string[] | 'all') => void)[] = []
  let forgotten = 0

  const look = async (token: string): Promise<Verified | null> => {
    const hash = hashToken(token)
    const known = cache.get(hash)
    const now_ms = now().getTime()
    // An age below zero is a clock that was set back: ask again.
    const age_ms = known ? now_ms - known.checked_ms : -1
    if (known && age_ms >= 0 && age_ms < LIMITS.token_cache_ms) return known
    const forgotten_before = forgotten
    const found = await find(deps, token, hash, now_ms)
    cache.delete(hash)
    // What was read while something was being revoked may be that very thing.
    if (found && forgotten === forgotten_before) keepNewest(cache, hash, found, LIMITS.token_cache_entries)
    return found
  }

  const noteUse = (verified: Verified, now_ms: number) => {
    if (
      verified.principal.type !== 'api_key' ||
      now_ms - verified.used_ms < MASTER_LIMITS.api_key_use_noted_ms
    )
      return
    verified.used_ms = now_ms
    // Not awaited: a request need not wait for the note about it.
    database
      .write(tx => touchApiKey(tx, verified.id, new Date(now_ms).toISOString()))
      .catch(error => log.warn({ err: error }, 'The last use of an API key could not be written down'))
  }

  return {
    async authenticate(authorization, origin) {
      const token = authorization === null ? undefined : BEARER.exec(authorization)?.[1]
      if (token === undefined) return null
      const verified = await look(token)
      const now_ms = now().getTime()
      if (!verified || verified.expires_ms <= now_ms) return null
      noteUse(verified, now_ms)
      const { principal, name, email, grants, permissions, session_id } = verified
      const { request_id } = origin
      return {
        principal,
        name,
        email,
        grants,
        permissions,
        session_id,
        door: 'rest',
        request_id,
        // Asked for only when something wants to know: see Connection.
        get ip_address() {
          return origin.ip_address
        },
      }
    },
    forget(ids) {
      forgotten++
      if (ids === 'all') cache.clear()
      else
        for (const [hash, one] of cache)
          if (ids.includes(one.id) || (one.principal.id !== null && ids.includes(one.principal.id)))
            cache.delete(hash)
      for (const listener of listeners) listener(ids)
    },
    onForget: listener => void listeners.push(listener),
  }
}

async function find(
  deps: AuthenticatorDeps,
  token: string,
  hash: string,
  now_ms: number,
): Promise<Verified | null> {
  if (API_KEY.test(token)) return await findApiKey(deps.database, hash, now_ms)
  return JWT.test(token) ? await findSession(deps, token, now_ms) : null
}

async function findSession(
  { database, signing_keys }: AuthenticatorDeps,
  token: string,
  now_ms: number,
): Promise<Verified | null> {
  const claims = await signing_keys.verify(token)
  const found = claims ? await sessionNow(database, claims.session_id, now_ms) : null
  if (!claims || found?.principal.id !== claims.user_id) return null
  return { ...found, expires_ms: Math.min(claims.expires_ms, found.expires_ms) }
}

/** The session with its user, as the database knows them now; null for one that ended, or whose user is not active. */
export async function sessionNow(database: Database, id: string, now_ms: number): Promise<Verified | null> {
  const row = await liveSession(database.read, id)
  if (!row) return null
  const grants = await grantsOfUser(database.read, row.user_id)
  return {
    id: row.id,
    principal: { type: 'user', id: row.user_id },
    name: row.name,
    email: row.email,
    grants,
    permissions: unionOf(grants),
    session_id: row.id,
    expires_ms: Date.parse(row.expires_at),
    used_ms: 0,
    checked_ms: now_ms,
  }
}

const findApiKey = async (database: Database, hash: string, now_ms: number): Promise<Verified | null> =>
  await asVerified(database, await apiKeyByHash(database.read, hash), now_ms)

/** The API key as the database knows it now; null for one that was revoked. */
export const apiKeyNow = async (database: Database, id: string, now_ms: number): Promise<Verified | null> =>
  await asVerified(database, await apiKeyById(database.read, id), now_ms)

async function asVerified(
  database: Database,
  row: ApiKeyRow | undefined,
  now_ms: number,
): Promise<Verified | null> {
  if (!row) return null
  const grants = await grantsIn(database.read, [row])
  return {
    id: row.id,
    principal: { type: 'api_key', id: row.id },
    name: row.name,
    email: null,
    grants,
    permissions: unionOf(grants),
    session_id: null,
    expires_ms: row.expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(row.expires_at),
    used_ms: row.last_used_at === null ? 0 : Date.parse(row.last_used_at),
    checked_ms: now_ms,
  }
}
