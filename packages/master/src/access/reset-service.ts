import { ApiError } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database, Queryable } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import type { AccountGuard } from './account-guard.ts'
import type { Authenticator } from './authenticator.ts'
import type { Caller } from './caller.ts'
import { asUser } from './grants.ts'
import { type ResetLinkRow, resetLinkByHash, takeResetLink } from './links-store.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { makerNow } from './makers.ts'
import { requireGoodPassword } from './password-rules.ts'
import { known, type Passwords } from './passwords.ts'
import { badLink } from './people-rules.ts'
import type { Opened, Sessions } from './sessions-service.ts'
import { hashToken } from './tokens.ts'
import { type UserRow, updateUser, userById } from './users-store.ts'

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
  readonly guard: AccountGuard
  readonly throttle: LoginThrottle
  readonly now: () => Date
}

export function makePasswordResets(deps: ResetsDeps): PasswordResets {
  const { database, audit, authenticator, sessions, passwords, throttle, now } = deps

  /** Whose password a link sets; undefined when it has ended, or its maker may not make it any more. */
  const userFor = async (db: Queryable, anonymous: Caller, link: ResetLinkRow | undefined) => {
    if (!link || Date.parse(link.expires_at) <= now().getTime()) return undefined
    const user = await userById(db, link.user_id)
    const maker = user?.status === 'active' ? await makerNow(db, link, now(), anonymous) : null
    return user && maker && (await mayChange(db, maker, user)) ? user : undefined
  }
  const mayChange = async (db: Queryable, maker: Caller, { id }: UserRow): Promise<boolean> => {
    try {
      await deps.guard.resettable(db, maker, id)
      return true
    } catch (error) {
      if (error instanceof ApiError) return false
      throw error
    }
  }
  const look = async (anonymous: Caller, token_hash: string) => {
    const user = await userFor(database.read, anonymous, await resetLinkByHash(database.read, token_hash))
    if (user) return user
    throttle.attempt(anonymous.ip_address, 'reset')
    throw badLink()
  }

  return {
    async reset(anonymous, { token, password }, browser) {
      const token_hash = hashToken(token)
      await requireGoodPassword(password, await look(anonymous, token_hash))
      const password_hash = await passwords.hash(password, known(anonymous))
      const begun = await database.write(async tx => {
        const user = await userFor(tx, anonymous, await takeResetLink(tx, token_hash))
        if (!user) throw badLink()
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
