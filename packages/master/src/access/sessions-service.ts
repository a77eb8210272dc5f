import { ApiError, LIMITS, type Me, type Session } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import { everywhere } from './access-rules.ts'
import { deleteSession, insertSession, pruneSessions, type UserRow, userByEmail } from './access-store.ts'
import type { Authenticator } from './authenticator.ts'
import type { Caller } from './caller.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { Passwords } from './passwords.ts'
import { hashToken, newToken } from './tokens.ts'

export interface Sessions {
  /** Throws INVALID_CREDENTIALS, the same for a wrong password and an unknown e-mail, or RATE_LIMITED. */
  login(caller: Caller, credentials: { email: string; password: string }): Promise<Session>
  /** Ends the caller's session. Throws CONFLICT for an API key, which has none. */
  logout(caller: Caller): Promise<void>
  me(caller: Caller): Me
  /** Opens a session for a user within the transaction that made or verified it. */
  open(tx: Tx, caller: Caller, user: UserRow): Promise<Session>
}

export interface SessionsDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly authenticator: Authenticator
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
  readonly now: () => Date
  readonly newId: () => string
}

export function makeSessions(deps: SessionsDeps): Sessions {
  const { database, audit, authenticator, passwords, throttle, now, newId } = deps

  const open = async (tx: Tx, caller: Caller, user: UserRow): Promise<Session> => {
    const token = newToken('session')
    const created_at = now().toISOString()
    const expires_at = new Date(now().getTime() + LIMITS.session_h * 3_600_000).toISOString()
    const row = { id: newId(), user_id: user.id, token_hash: hashToken(token), created_at, expires_at }
    await pruneSessions(tx, user.id, created_at, LIMITS.sessions_per_user - 1)
    await insertSession(tx, row)
    const after = { user_id: user.id, expires_at }
    await audit.append(tx, caller, {
      action: 'session.create',
      object_type: 'session',
      object_id: row.id,
      after,
    })
    return { token, token_type: 'Bearer', expires_at, user: userOf(user) }
  }

  return {
    open,
    async login(caller, { email, password }) {
      throttle.attempt(caller.ip_address, email)
      const user = await userByEmail(database.read, email)
      if (!(await passwords.matches(password, user?.password_hash ?? null)) || !user) {
        const after = { email, reason: 'invalid_credentials' }
        await audit.record(caller, {
          action: 'session.create',
          object_type: 'session',
          result: 'refused',
          after,
        })
        throw new ApiError('INVALID_CREDENTIALS', 'E-mail or password is wrong')
      }
      throttle.succeeded(caller.ip_address, email)
      return await database.write(tx => open(tx, callerOf(user, caller), user))
    },

    async logout(caller) {
      const { session_id } = caller
      if (session_id === null)
        throw new ApiError('CONFLICT', 'An API key has no session to end; delete the key instead')
      await database.write(async tx => {
        await deleteSession(tx, session_id)
        await audit.append(tx, caller, {
          action: 'session.delete',
          object_type: 'session',
          object_id: session_id,
        })
      })
      authenticator.forget(session_id)
    },

    me: ({ principal, name, email, permissions }) => ({
      principal,
      name,
      email,
      permissions: [...permissions],
    }),
  }
}

/** The caller that a request without credentials turned out to be. */
export function callerOf(user: UserRow, anonymous: Caller): Caller {
  return {
    ...anonymous,
    principal: { type: 'user', id: user.id },
    name: user.name,
    email: user.email,
    ...everywhere(),
  }
}

const userOf = (row: UserRow): Session['user'] => ({
  id: row.id,
  email: row.email,
  name: row.name,
  role: 'owner',
  created_at: row.created_at,
})
