import { ApiError, LIMITS } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import type { Database } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import { addressKey, makeTokenBuckets } from '../http/token-buckets.ts'
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
  readonly now: () => Date
}

const wrong = () => new ApiError('INVALID_CREDENTIALS', 'E-mail or password is wrong')

export function makeLogin(deps: LoginDeps): Login {
  const { database, sessions, passwords, throttle } = deps
  const tellRefusal = makeRefusalTeller(deps)

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
        await tellRefusal(caller, email, user)
        throw wrong()
      }
      throttle.succeeded(ip_address, email)
      const begun = await begin(caller, user, browser)
      if (!begun) throw wrong()
      return await sessions.finish(begun)
    },
  }
}

/** Audits refused log-ins, bounded: of a flood, a row now and then that says how many were left out before it. */
function makeRefusalTeller({ audit, now }: Pick<LoginDeps, 'audit' | 'now'>) {
  const rule = { burst: LIMITS.login_refusal_rows_burst, per_s: LIMITS.login_refusal_rows_per_s }
  const rows = makeTokenBuckets(rule, 1, now)
  let suppressed = 0
  return async (caller: Caller, email: string, user: UserRow | undefined): Promise<void> => {
    if (rows.take('all') > 0) {
      suppressed++
      return
    }
    const left_out = suppressed
    suppressed = 0
    const reason = user && user.status !== 'active' ? 'user_disabled' : 'invalid_credentials'
    await audit.record(caller, {
      action: 'session.create',
      object_type: 'session',
      result: 'refused',
      after: { email, reason, suppressed: left_out },
    })
  }
}
