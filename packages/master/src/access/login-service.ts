import { ApiError } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import type { Database } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import { addressKey } from '../http/token-buckets.ts'
import type { Caller } from './caller.ts'
import { asUser } from './grants.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { Passwords } from './passwords.ts'
import type { Opened, Sessions } from './sessions-service.ts'
import { type UserRow, userByEmail, userById } from './users-store.ts'

export interface Login {
  /** Throws INVALID_CREDENTIALS, the same for a wrong password, an unknown e-mail and a disabled user, or RATE_LIMITED. */
  login(caller: Caller, credentials: { email: string; password: string }, browser: Browser): Promise<Opened>
}

export interface LoginDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
}

const wrong = () => new ApiError('INVALID_CREDENTIALS', 'E-mail or password is wrong')

export function makeLogin(deps: LoginDeps): Login {
  const { database, audit, sessions, passwords, throttle } = deps

  /** Whether the attempt comes from where this person is logged in: then it does not wait behind strangers. */
  const isKnown = async (user: UserRow | undefined, address: string): Promise<boolean> => {
    if (!user) return false
    const addresses = await sessions.addressesOf(user.id)
    return addresses.some(one => addressKey(one) === address)
  }

  const refuse = async (caller: Caller, email: string, user: UserRow | undefined) => {
    const reason = user && user.status !== 'active' ? 'user_disabled' : 'invalid_credentials'
    await audit.record(caller, {
      action: 'session.create',
      object_type: 'session',
      result: 'refused',
      after: { email, reason },
    })
    return wrong()
  }

  return {
    async login(caller, { email, password }, browser) {
      const address = addressKey(caller.ip_address)
      throttle.attempt(caller.ip_address, email)
      const user = await userByEmail(database.read, email)
      const known = await isKnown(user, address)
      if (!known) throttle.stranger(email)
      const lane = { sender: address, known }
      const matches = await passwords.matches(password, user?.password_hash ?? null, lane)
      if (!matches || user?.status !== 'active') throw await refuse(caller, email, user)
      throttle.succeeded(caller.ip_address, email)
      const begun = await database.write(async tx => {
        // It may have been disabled, or its password reset, while the hash was computed.
        const now = await userById(tx, user.id)
        if (now?.status !== 'active' || now.password_hash !== user.password_hash) return null
        const how = { method: 'password', user_agent: browser.user_agent } as const
        return await sessions.begin(tx, await asUser(tx, now, caller), now, how)
      })
      if (!begun) throw wrong()
      return await sessions.finish(begun)
    },
  }
}
