import { ApiError, type Me, type SessionInfo } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database } from '../database/database.ts'
import type { PageOf } from '../http/page.ts'
import { builtInRole } from './access-rules.ts'
import type { Authenticator } from './authenticator.ts'
import type { Caller } from './caller.ts'
import { deleteResetLinks } from './links-store.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { requireGoodPassword } from './password-rules.ts'
import { known, type Passwords } from './passwords.ts'
import { rolesById } from './roles-store.ts'
import type { Sessions } from './sessions-service.ts'
import { type UserRow, updateUser, userById } from './users-store.ts'

/** What people do with their own account. */
export interface Account {
  me(caller: Caller): Promise<Me>
  rename(caller: Caller, name: string): Promise<Me>
  /** The other sessions end. Throws INVALID_CREDENTIALS, VALIDATION_ERROR for a bad new one. */
  changePassword(caller: Caller, change: { current_password: string; new_password: string }): Promise<void>
  sessions(caller: Caller, query: { page: number; per_page: number }): Promise<PageOf<SessionInfo>>
  endSession(caller: Caller, session_id: string): Promise<void>
}

export interface AccountDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly authenticator: Authenticator
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
}

export function makeAccount(deps: AccountDeps): Account {
  const { database, audit, authenticator, sessions, passwords, throttle } = deps

  const storePassword = (caller: Caller, user: UserRow, password_hash: string) =>
    database.write(async tx => {
      await updateUser(tx, user.id, { password_hash })
      await deleteResetLinks(tx, user.id)
      const ended = await sessions.endAll(tx, user.id, caller.session_id)
      await audit.append(tx, caller, {
        action: 'user.change_password',
        object_type: 'user',
        object_id: user.id,
        after: { sessions_ended: ended.length },
      })
      afterCommit(tx, () => authenticator.forget(ended))
    })

  return {
    me: caller => meOf(database, caller),
    async rename(caller, name) {
      const user = await userBehind(database, caller)
      await database.write(async tx => {
        await updateUser(tx, user.id, { name })
        const [before, after] = [{ name: user.name }, { name }]
        await audit.append(tx, caller, {
          action: 'user.update',
          object_type: 'user',
          object_id: user.id,
          before,
          after,
        })
        afterCommit(tx, () => authenticator.forget([user.id]))
      })
      return { ...(await meOf(database, caller)), name }
    },
    async changePassword(caller, { current_password, new_password }) {
      const user = await userBehind(database, caller)
      // A stolen token must not become a stolen password by guessing.
      throttle.attempt(caller.ip_address, user.email)
      const applicant = known(caller)
      if (!(await passwords.matches(current_password, user.password_hash, applicant)))
        throw new ApiError('INVALID_CREDENTIALS', 'The current password is wrong')
      throttle.succeeded(caller.ip_address, user.email)
      await requireGoodPassword(new_password, user, 'new_password')
      await storePassword(caller, user, await passwords.hash(new_password, applicant))
    },
    async sessions(caller, query) {
      const user = await userBehind(database, caller)
      return await sessions.list(caller, user.id, query)
    },
    async endSession(caller, session_id) {
      const user = await userBehind(database, caller)
      await sessions.end(caller, user.id, session_id)
    },
  }
}

/** Names beside ids: not everybody may read roles, but everybody their own. */
async function meOf(database: Database, caller: Caller): Promise<Me> {
  const { principal, name, email, session_id, permissions, grants } = caller
  const custom = grants.map(one => one.role_id).filter(one => !builtInRole(one))
  const names = new Map((await rolesById(database.read, custom)).map(one => [one.id, one.name]))
  return {
    principal,
    name,
    email,
    session_id,
    permissions: [...permissions],
    grants: grants.map(one => ({
      ...one,
      role_name: builtInRole(one.role_id)?.name ?? names.get(one.role_id) ?? null,
      permissions: [...one.permissions],
    })),
  }
}

/** Throws CONFLICT for a key: it belongs to no person. */
export async function userBehind(database: Database, { principal }: Caller): Promise<UserRow> {
  const user =
    principal.type === 'user' && principal.id !== null
      ? await userById(database.read, principal.id)
      : undefined
  if (!user) throw new ApiError('CONFLICT', 'This is for people: an API key has no account')
  return user
}
