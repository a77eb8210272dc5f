import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import type { Authenticator } from './authenticator.ts'
import type { Caller } from './caller.ts'
import { asUser } from './grants.ts'
import { resetLinkByHash, takeResetLink } from './links-store.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { requireGoodPassword } from './password-rules.ts'
import { known, type Passwords } from './passwords.ts'
import { badLink } from './people-rules.ts'
import type { Opened, Sessions } from './sessions-service.ts'
import { hashToken } from './tokens.ts'
import { updateUser, userById } from './users-store.ts'

export interface PasswordResets {
  /** Sets the password and logs in; every session of before ends. Throws LINK_INVALID, VALIDATION_ERROR. */
  reset(anonymous: Caller, input: { token: string; password: string }, browser: Browser): Promise<Opened>
}

export interface ResetsDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly authenticator: Authenticator
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
  readonly now: () => Date
}

export function makePasswordResets(deps: ResetsDeps): PasswordResets {
  const { database, audit, authenticator, sessions, passwords, throttle, now } = deps

  const look = async (anonymous: Caller, token_hash: string) => {
    const link = await resetLinkByHash(database.read, token_hash)
    const user = link ? await userById(database.read, link.user_id) : undefined
    if (link && user?.status === 'active' && Date.parse(link.expires_at) > now().getTime()) return user
    throttle.attempt(anonymous.ip_address, 'reset')
    throw badLink()
  }

  return {
    async reset(anonymous, { token, password }, browser) {
      const token_hash = hashToken(token)
      await requireGoodPassword(password, await look(anonymous, token_hash))
      const password_hash = await passwords.hash(password, known(anonymous))
      const begun = await database.write(async tx => {
        const link = await takeResetLink(tx, token_hash)
        const user = link ? await userById(tx, link.user_id) : undefined
        if (!link || user?.status !== 'active' || Date.parse(link.expires_at) <= now().getTime())
          throw badLink()
        await updateUser(tx, user.id, { password_hash })
        const ended = await sessions.endAll(tx, user.id, null)
        afterCommit(tx, () => authenticator.forget(ended))
        const caller = await asUser(tx, user, anonymous)
        await audit.append(tx, caller, {
          action: 'user.reset_password',
          object_type: 'user',
          object_id: user.id,
          after: { sessions_ended: ended.length },
        })
        const how = { method: 'reset', user_agent: browser.user_agent } as const
        return await sessions.begin(tx, caller, { ...user, password_hash }, how)
      })
      return await sessions.finish(begun)
    },
  }
}
