import { ApiError, LIMITS, type Link, type SessionInfo, type User } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database, Tx } from '../database/database.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import type { AccountGuard } from './account-guard.ts'
import { deleteApiKeysBy } from './api-keys-store.ts'
import type { Authenticator } from './authenticator.ts'
import type { Access, Caller } from './caller.ts'
import type { Keepers } from './keepers.ts'
import type { LinkMaker } from './link-maker.ts'
import { deleteInvitationsBy, deleteResetLinks, replaceResetLink } from './links-store.ts'
import { invalid, userOf } from './people-rules.ts'
import { type PlaceQuery, reachFor } from './reach-for.ts'
import type { Sessions } from './sessions-service.ts'
import { countUsers, deleteUser, listUsers, type UserRow, updateUser } from './users-store.ts'

export interface UserChange {
  readonly name?: string | undefined
  readonly status?: 'active' | 'disabled' | undefined
  readonly revoke_api_keys: boolean
}

/** Accounts, for those who keep them. A change of an account needs the permission wherever its owner has a role. */
export interface Users {
  list(caller: Caller, query: PlaceQuery): Promise<PageOf<User>>
  get(caller: Caller, id: string): Promise<User>
  update(caller: Caller, id: string, change: UserChange): Promise<User>
  remove(caller: Caller, id: string): Promise<void>
  resetLink(caller: Caller, id: string): Promise<Link>
  sessions(
    caller: Caller,
    id: string,
    query: { page: number; per_page: number },
  ): Promise<PageOf<SessionInfo>>
  endSession(caller: Caller, id: string, session_id: string): Promise<void>
}

export interface UsersDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly authenticator: Authenticator
  readonly sessions: Sessions
  readonly keepers: Keepers
  readonly guard: AccountGuard
  readonly links: LinkMaker
  readonly now: () => Date
  readonly newId: () => string
}

const eventOf = (action: string, id: string) => ({
  action: `user.${action}`,
  object_type: 'user',
  object_id: id,
})

export function makeUsers(deps: UsersDeps): Users {
  const { database, audit, access, authenticator, sessions, keepers } = deps
  const { visible, readable, changeable, resettable } = deps.guard

  /** Everything by which somebody gets in ends with the transaction. */
  const shutOut = async (tx: Tx, caller: Caller, row: UserRow, revoke_api_keys: boolean) => {
    if (caller.principal.id === row.id)
      throw new ApiError('CONFLICT', 'You cannot shut yourself out; somebody else can')
    await keepers.requireAnotherThan(tx, { user_id: row.id })
    const ended = await sessions.endAll(tx, row.id, null)
    await deleteResetLinks(tx, row.id)
    const keys = revoke_api_keys ? await deleteApiKeysBy(tx, row.id) : []
    await deleteInvitationsBy(tx, [row.id, ...keys])
    afterCommit(tx, () => authenticator.forget([row.id, ...ended, ...keys]))
    return { sessions_ended: ended.length, api_keys_ended: keys.length }
  }

  return {
    async list(caller, query) {
      const reach = await reachFor(access, caller, 'user:read', query)
      const [rows, total] = await Promise.all([
        listUsers(database.read, reach, sliceOf(query)),
        countUsers(database.read, reach),
      ])
      return { items: rows.map(userOf), total }
    },
    get: async (caller, id) => userOf(await visible(database.read, caller, id)),

    async update(caller, id, change) {
      return await database.write(async tx => {
        const row = await changeable(tx, caller, 'user:write', id)
        const next = { name: change.name ?? row.name, status: change.status ?? row.status }
        const { revoke_api_keys } = change
        if (revoke_api_keys && next.status !== 'disabled')
          throw invalid('revoke_api_keys', 'goes with status: disabled')
        const same = next.name === row.name && next.status === row.status
        if (same && !revoke_api_keys) return userOf(row)
        const shut = next.status === 'disabled' && (row.status !== 'disabled' || revoke_api_keys)
        const ended = shut ? await shutOut(tx, caller, row, revoke_api_keys) : {}
        await updateUser(tx, id, next)
        const before = { name: row.name, status: row.status }
        await audit.append(tx, caller, { ...eventOf('update', id), before, after: { ...next, ...ended } })
        afterCommit(tx, () => authenticator.forget([id]))
        return userOf({ ...row, ...next })
      })
    },

    async remove(caller, id) {
      await database.write(async tx => {
        const row = await changeable(tx, caller, 'user:delete', id)
        const ended = await shutOut(tx, caller, row, false)
        await deleteUser(tx, id)
        const { email, name } = row
        await audit.append(tx, caller, { ...eventOf('delete', id), before: { email, name }, after: ended })
      })
    },

    async resetLink(caller, id) {
      const { token, token_hash, link } = deps.links.make('reset', LIMITS.reset_link_h)
      await database.write(async tx => {
        const row = await resettable(tx, caller, id)
        if (row.status !== 'active')
          throw new ApiError('CONFLICT', 'This user is disabled: enable the account first')
        const { type, id: maker_id } = caller.principal
        await replaceResetLink(tx, {
          id: deps.newId(),
          user_id: id,
          token_hash,
          created_by_type: type,
          created_by_id: maker_id,
          created_at: deps.now().toISOString(),
          expires_at: link.expires_at,
        })
        await audit.append(tx, caller, {
          ...eventOf('reset_link', id),
          after: { expires_at: link.expires_at },
        })
      })
      return { ...link, token }
    },

    async sessions(caller, id, query) {
      await readable(database.read, caller, id)
      return await sessions.list(caller, id, query)
    },
    async endSession(caller, id, session_id) {
      await changeable(database.read, caller, 'user:write', id)
      await sessions.end(caller, id, session_id)
    },
  }
}
