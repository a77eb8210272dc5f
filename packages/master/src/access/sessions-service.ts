import { ApiError, LIMITS, type Session, type SessionInfo } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { Authenticator } from './authenticator.ts'
import type { Caller } from './caller.ts'
import { userOf } from './people-rules.ts'
import {
  addressesOf,
  countRotations,
  deleteSession,
  deleteSessionsOf,
  insertSession,
  listSessions,
  pruneSessions,
  rotateRefresh,
  type SessionRow,
  sessionById,
  sessionByRefresh,
  sessionOfUsedToken,
} from './sessions-store.ts'
import type { SigningKeys } from './signing-keys-service.ts'
import { hashToken, newToken } from './tokens.ts'
import { type UserRow, updateUser, userById } from './users-store.ts'

/** A session as it is handed to whoever logged in: the refresh token goes into the cookie, the rest into the answer. */
export interface Opened {
  readonly session: Session
  readonly refresh_token: string
}

export interface Sessions {
  /** Begins a session for a user within the transaction that made or verified it; `finish` it after the commit. */
  begin(tx: Tx, caller: Caller, user: UserRow, how: SessionStart): Promise<Begun>
  finish(begun: Begun): Promise<Opened>
  /** The next access token for a refresh token, which is used up by it. Throws UNAUTHENTICATED. */
  refresh(caller: Caller, browser: Browser): Promise<Opened>
  /** Ends the caller's session. Throws CONFLICT for an API key, which has none. */
  logout(caller: Caller): Promise<void>
  list(
    caller: Caller,
    user_id: string,
    query: { page: number; per_page: number },
  ): Promise<PageOf<SessionInfo>>
  /** Ends one session of a user. Throws NOT_FOUND. */
  end(caller: Caller, user_id: string, session_id: string): Promise<void>
  /** Ends all sessions of a user but for one, in a transaction; forget what is answered after the commit. */
  endAll(tx: Tx, user_id: string, but: string | null): Promise<readonly string[]>
  /** From where a user is logged in. */
  addressesOf(user_id: string): Promise<readonly string[]>
}

export interface SessionStart {
  readonly method: SessionInfo['method']
  readonly user_agent: string | null
  /** The identity provider by which it begins; the ID token is kept for the provider's log-out. */
  readonly provider?: { readonly id: string; readonly id_token: string | null }
}
export interface Begun {
  readonly row: SessionRow
  readonly user: UserRow
  readonly refresh_token: string
}

export interface SessionsDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly authenticator: Authenticator
  readonly signing_keys: SigningKeys
  readonly secrets: Pick<Secrets, 'seal'>
  readonly now: () => Date
  readonly newId: () => string
}

const HOUR_MS = 3_600_000
const noSession = () => new ApiError('NOT_FOUND', 'There is no such session')
const mustLogIn = () => new ApiError('UNAUTHENTICATED', 'The session has ended; log in again')

export function makeSessions(deps: SessionsDeps): Sessions {
  const { database, audit, authenticator, signing_keys, now, newId } = deps

  const finish = async ({ row, user, refresh_token }: Begun): Promise<Opened> => {
    const { token, expires_at } = await signing_keys.sign({ user_id: user.id, session_id: row.id })
    const session: Session = {
      token,
      token_type: 'Bearer',
      expires_at: expires_at < row.expires_at ? expires_at : row.expires_at,
      session_id: row.id,
      session_expires_at: row.expires_at,
      user: userOf(user),
    }
    return { session, refresh_token }
  }

  /** A refresh token that was used already is in two hands: the session ends for both. */
  const endStolen = async (caller: Caller, stolen: SessionRow) => {
    await database.write(async tx => {
      await deleteSession(tx, stolen.id)
      await audit.append(tx, caller, {
        action: 'session.refresh',
        object_type: 'session',
        object_id: stolen.id,
        result: 'refused',
        after: { user_id: stolen.user_id, reason: 'refresh_token_reused' },
      })
    })
    authenticator.forget([stolen.id])
  }

  const exchange = (caller: Caller, token_hash: string, user_agent: string | null) =>
    database.write(async tx => {
      const row = await sessionByRefresh(tx, token_hash)
      const at = now()
      if (!row || Date.parse(row.expires_at) <= at.getTime()) return null
      const user = await userById(tx, row.user_id)
      if (user?.status !== 'active') return null
      if ((await countRotations(tx, row.id)) >= LIMITS.refresh_rotations) return null
      const refresh_token = newToken('refresh')
      const next = {
        refresh_hash: hashToken(refresh_token),
        refreshed_at: at.toISOString(),
        expires_at: endOf(at, new Date(row.created_at)),
        ip_address: caller.ip_address,
        user_agent: user_agent ?? row.user_agent,
      }
      if (!(await rotateRefresh(tx, row, next))) return null
      return { row: { ...row, ...next }, user, refresh_token }
    })

  const remove = async (caller: Caller, id: string) => {
    await database.write(async tx => {
      await deleteSession(tx, id)
      await audit.append(tx, caller, { action: 'session.delete', object_type: 'session', object_id: id })
    })
    authenticator.forget([id])
  }

  return {
    finish,
    async begin(tx, caller, user, { method, user_agent, provider }) {
      const at = now()
      const created_at = at.toISOString()
      const refresh_token = newToken('refresh')
      const id = newId()
      const id_token = provider?.id_token ?? null
      const row: SessionRow = {
        id,
        user_id: user.id,
        method,
        refresh_hash: hashToken(refresh_token),
        created_at,
        refreshed_at: created_at,
        expires_at: endOf(at, at),
        ip_address: caller.ip_address,
        user_agent,
        provider_id: provider?.id ?? null,
        sealed_id_token:
          id_token === null ? null : deps.secrets.seal(Buffer.from(id_token), idTokenIdentity(id)),
      }
      await pruneSessions(tx, user.id, created_at, LIMITS.sessions_per_user - 1)
      await insertSession(tx, row)
      await updateUser(tx, user.id, { last_login_at: created_at })
      await audit.append(tx, caller, {
        action: 'session.create',
        object_type: 'session',
        object_id: row.id,
        after: { user_id: user.id, method, expires_at: row.expires_at, provider_id: row.provider_id },
      })
      return { row, user: { ...user, last_login_at: created_at }, refresh_token }
    },

    async refresh(caller, { refresh_token, user_agent }) {
      if (refresh_token === null) throw mustLogIn()
      const token_hash = hashToken(refresh_token)
      const exchanged = await exchange(caller, token_hash, user_agent)
      if (exchanged) return await finish(exchanged)
      const stolen = await sessionOfUsedToken(database.read, token_hash)
      if (stolen) await endStolen(caller, stolen)
      throw mustLogIn()
    },

    async logout(caller) {
      if (caller.session_id === null)
        throw new ApiError('CONFLICT', 'An API key has no session to end; delete the key instead')
      await remove(caller, caller.session_id)
    },

    async list(caller, user_id, query) {
      const found = await listSessions(database.read, user_id, now().toISOString(), sliceOf(query))
      return { items: found.items.map(row => infoOf(row, caller.session_id)), total: found.total }
    },

    async end(caller, user_id, session_id) {
      const row = await sessionById(database.read, session_id)
      if (row?.user_id !== user_id) throw noSession()
      await remove(caller, session_id)
    },
    endAll: deleteSessionsOf,
    addressesOf: user_id => addressesOf(database.read, user_id),
  }
}

/** What a session's ID token is sealed under. */
export const idTokenIdentity = (session_id: string): string => `sessions/${session_id}/id_token`

/** When a session ends that is used now: after a time without use, and at the latest some time after it began. */
function endOf(now: Date, began: Date): string {
  const idle_ms = now.getTime() + LIMITS.session_idle_h * HOUR_MS
  const longest_ms = began.getTime() + LIMITS.session_max_h * HOUR_MS
  return new Date(Math.min(idle_ms, longest_ms)).toISOString()
}

const infoOf = (row: SessionRow, current_id: string | null): SessionInfo => ({
  id: row.id,
  user_id: row.user_id,
  method: row.method as SessionInfo['method'],
  created_at: row.created_at,
  refreshed_at: row.refreshed_at,
  expires_at: row.expires_at,
  ip_address: row.ip_address,
  user_agent: row.user_agent,
  current: row.id === current_id,
})
