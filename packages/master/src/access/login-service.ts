import { ApiError } from '@nxmesh/contract'
import type { Database } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import { addressKey } from '../http/token-buckets.ts'
import type { Caller } from './caller.ts'
import { asUser } from './grants.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { Passwords } from './passwords.ts'
import type { RefusalRows } from './refusal-rows.ts'
import type { Opened, Sessions } from './sessions-service.ts'
import { type UserRow, userByEmail, userById } from './users-store.ts'

export interface Login {
  /** Throws INVALID_CREDENTIALS, the same for a wrong password, an unknown e-mail and a disabled user, or RATE_LIMITED. */
  login(caller: Caller, credentials: { email: string; password: string }, browser: Browser): Promise<Opened>
}

export interface LoginDeps {
  readonly database: Database
  readonly refusal_rows: RefusalRows
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
}

const wrong = () => new ApiError('INVALID_CREDENTIALS', 'E-mail or password is wrong')

export function makeLogin(deps: LoginDeps): Login {
  const { database, sessions, passwords, throttle } = deps

  /** Whether the attempt comes from where this person is logged in: then it does not wait behind strangers. */
  const isKnown = async (user: UserRow | undefined, address: string): Promise<boolean> => {
    if (!user) return false
    const addresses = await sessions.addressesOf(user.id)
    return addresses.some(one => addressKey(one) === address)
  }

  const begin = (caller: Caller, user: UserRow, { user_agent }: Browser) =>
    database.write(async tx => {
      // It may have been disabled, or its password reset, while the hash was computed.
      const now = await userById(tx, user.id)
      if (now?.status !== 'active' || now.password_hash !== user.password_hash) return null
      return await sessions.begin(tx, await asUser(tx, now, caller), now, { method: 'password', user_agent })
    })

  return {
    async login(caller, { email, password }, browser) {
      const { ip_address } = caller
      const sender = addressKey(ip_address)
      throttle.attempt(ip_address, email)
      const user = await userByEmail(database.read, email)
      const trust = throttle.trust(ip_address, await isKnown(user, sender))
      const matches = await passwords.matches(password, user?.password_hash ?? null, { sender, trust })
      if (!matches || user?.status !== 'active') {
        throttle.failed(ip_address)
        const reason = user && user.status !== 'active' ? 'user_disabled' : 'invalid_credentials'
        await deps.refusal_rows.tell(caller, {
          action: 'session.create',
          object_type: 'session',
          after: { email, reason },
        })
        throw wrong()
      }
      throttle.succeeded(ip_address, email)
      const begun = await begin(caller, user, browser)
      if (!begun) throw wrong()
      return await sessions.finish(begun)
    },
  }
}
