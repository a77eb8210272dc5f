import { LIMITS, type Permission, type Principal } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { Database } from '../database/database.ts'
import { everywhere } from './access-rules.ts'
import { apiKeyByHash, sessionByHash, touchApiKey } from './access-store.ts'
import type { Caller, Grant } from './caller.ts'
import { hashToken, TOKEN_PREFIX } from './tokens.ts'

export interface Origin {
  readonly ip_address: string | null
  readonly request_id: string
}

export interface Authenticator {
  /** Who sends this `Authorization` header; null without valid credentials, for whatever reason. */
  authenticate(authorization: string | null, origin: Origin): Promise<Caller | null>
  /** Forgets what it knows of a session or an API key (by its id): call after the change is committed. */
  forget(id: string): void
}

export interface AuthenticatorDeps {
  readonly database: Database
  readonly log: Logger
  readonly now: () => Date
}

/** A token that the database knew, as it was then. */
interface Verified {
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

const TOKEN = new RegExp(
  `^Bearer +((?:${TOKEN_PREFIX.session}|${TOKEN_PREFIX.api_key})[A-Za-z0-9_-]{43})$`,
  'i',
)
const USED_EVERY_MS = 60_000

/** Knows session tokens and API keys. A verified token is trusted for `LIMITS.token_cache_ms`, unless it is forgotten before. */
export function makeAuthenticator({ database, log, now }: AuthenticatorDeps): Authenticator {
  const cache = new Map<string, Verified>()
  let forgotten = 0

  const look = async (token: string): Promise<Verified | null> => {
    const hash = hashToken(token)
    const known = cache.get(hash)
    const now_ms = now().getTime()
    // An age below zero is a clock that was set back: ask again.
    const age_ms = known ? now_ms - known.checked_ms : -1
    if (known && age_ms >= 0 && age_ms < LIMITS.token_cache_ms) return known
    const forgotten_before = forgotten
    const found = token.startsWith(TOKEN_PREFIX.session)
      ? await findSession(database, hash, now_ms)
      : await findApiKey(database, hash, now_ms)
    cache.delete(hash)
    // What was read while something was being revoked may be that very thing.
    if (found && forgotten === forgotten_before) remember(cache, hash, found)
    return found
  }

  const noteUse = (verified: Verified, now_ms: number) => {
    if (verified.principal.type !== 'api_key' || now_ms - verified.used_ms < USED_EVERY_MS) return
    verified.used_ms = now_ms
    // Not awaited: a request need not wait for the note about it.
    database
      .write(tx => touchApiKey(tx, verified.id, new Date(now_ms).toISOString()))
      .catch(error => log.warn({ err: error }, 'The last use of an API key could not be written down'))
  }

  return {
    async authenticate(authorization, origin) {
      const token = authorization === null ? undefined : TOKEN.exec(authorization)?.[1]
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
    forget(id) {
      forgotten++
      for (const [hash, one] of cache) if (one.id === id) cache.delete(hash)
    },
  }
}

function remember(cache: Map<string, Verified>, hash: string, verified: Verified): void {
  if (cache.size >= LIMITS.token_cache_entries) {
    const oldest = cache.keys().next()
    if (!oldest.done) cache.delete(oldest.value)
  }
  cache.set(hash, verified)
}

async function findSession(database: Database, hash: string, now_ms: number): Promise<Verified | null> {
  const row = await sessionByHash(database.read, hash)
  if (!row) return null
  return {
    id: row.id,
    principal: { type: 'user', id: row.user_id },
    name: row.name,
    email: row.email,
    ...everywhere(),
    session_id: row.id,
    expires_ms: Date.parse(row.expires_at),
    used_ms: 0,
    checked_ms: now_ms,
  }
}

async function findApiKey(database: Database, hash: string, now_ms: number): Promise<Verified | null> {
  const row = await apiKeyByHash(database.read, hash)
  if (!row) return null
  return {
    id: row.id,
    principal: { type: 'api_key', id: row.id },
    name: row.name,
    email: null,
    ...everywhere(),
    session_id: null,
    expires_ms: row.expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(row.expires_at),
    used_ms: row.last_used_at === null ? 0 : Date.parse(row.last_used_at),
    checked_ms: now_ms,
  }
}
