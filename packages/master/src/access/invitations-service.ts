import { ApiError, type Invitation, LIMITS, type Link } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database, Tx } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import type { Places } from './access-service.ts'
import { userBehind } from './account-service.ts'
import type { Authenticator } from './authenticator.ts'
import type { Access, Caller } from './caller.ts'
import { asUser, rolesBehind } from './grants.ts'
import type { LinkMaker } from './link-maker.ts'
import {
  clearInvitations,
  countInvitations,
  countInvitationsOf,
  deleteInvitation,
  type InvitationRow,
  insertInvitation,
  invitationByHash,
  invitationById,
  listInvitations,
  takeInvitation,
} from './links-store.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { makerNow } from './makers.ts'
import { requireGoodPassword } from './password-rules.ts'
import { known, type Passwords } from './passwords.ts'
import { badLink, invitationOf, isSameRole, noInvitation, scopeOf } from './people-rules.ts'
import { type PlaceQuery, reachFor } from './reach-for.ts'
import { requireGivable, type Wanted } from './role-places.ts'
import { bindingsOf, insertBinding } from './roles-store.ts'
import type { Opened, Sessions } from './sessions-service.ts'
import { hashToken } from './tokens.ts'
import { countAllUsers, insertUser, type UserRow, userByEmail } from './users-store.ts'

export interface Invitations {
  list(caller: Caller, query: PlaceQuery): Promise<PageOf<Invitation>>
  /** The link is in the answer and nowhere else. Whether the e-mail has an account already is not told. */
  create(
    caller: Caller,
    input: Wanted & { email: string; name?: string | undefined },
  ): Promise<Invitation & { link: Link }>
  remove(caller: Caller, id: string): Promise<void>
  /** With a new account. Throws LINK_INVALID, CONFLICT where the e-mail has one, VALIDATION_ERROR for a bad password. */
  accept(
    anonymous: Caller,
    input: { token: string; name?: string | undefined; password: string },
    browser: Browser,
  ): Promise<Opened>
  /** As the caller, whose e-mail it must be for; answers the caller with the new role. */
  acceptAs(caller: Caller, token: string): Promise<Caller>
}

export interface InvitationsDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly places: Places
  readonly authenticator: Authenticator
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
  readonly links: LinkMaker
  readonly now: () => Date
  readonly newId: () => string
}

const eventOf = (action: string, row: InvitationRow) => ({
  action: `invitation.${action}`,
  object_type: 'invitation',
  object_id: row.id,
  organization_id: row.organization_id,
  workspace_id: row.workspace_id,
})
const publicOf = ({ email, role_id, expires_at }: InvitationRow) => ({ email, role_id, expires_at })

export function makeInvitations(deps: InvitationsDeps): Invitations {
  const { database, audit, access, authenticator, sessions, passwords, throttle, now, newId } = deps

  /** Gives the role that the invitation offers, and takes the invitation away. */
  const give = async (tx: Tx, caller: Caller, row: InvitationRow, user_id: string) => {
    const present = await bindingsOf(tx, user_id)
    const { role_id, organization_id, workspace_id } = row
    if (!present.some(one => one.provider_id === null && isSameRole(one, row))) {
      if (present.length >= LIMITS.bindings_per_user)
        throw new ApiError('LIMIT_REACHED', `An account has at most ${LIMITS.bindings_per_user} roles`)
      const made = { id: newId(), user_id, provider_id: null, created_at: now().toISOString() }
      await insertBinding(tx, { ...made, role_id, organization_id, workspace_id })
    }
    await audit.append(tx, caller, { ...eventOf('accept', row), after: { ...publicOf(row), user_id } })
    afterCommit(tx, () => authenticator.forget([user_id]))
  }
  /** Whether whoever made the invitation may still give what it offers. */
  const isCovered = async (tx: Tx, caller: Caller, row: InvitationRow): Promise<boolean> => {
    const maker = await makerNow(tx, row, now(), caller)
    if (!maker) return false
    try {
      await requireGivable(deps, tx, maker, 'user:write', { ...row, role: row.role_id })
      return true
    } catch (error) {
      if (error instanceof ApiError) return false
      throw error
    }
  }
  const take = async (tx: Tx, caller: Caller, token_hash: string): Promise<InvitationRow> => {
    const row = await takeInvitation(tx, token_hash)
    if (!row || Date.parse(row.expires_at) <= now().getTime() || !(await isCovered(tx, caller, row)))
      throw badLink()
    return row
  }
  /** Before the costly hash; what decides is the transaction. A stranger who guesses is slowed. */
  const look = async (anonymous: Caller, token_hash: string): Promise<InvitationRow> => {
    const row = await invitationByHash(database.read, token_hash)
    if (row && Date.parse(row.expires_at) > now().getTime()) return row
    throttle.attempt(anonymous.ip_address, 'invitation')
    throw badLink()
  }

  return {
    async list(caller, query) {
      const reach = await reachFor(access, caller, 'user:read', query)
      const at = now().toISOString()
      const rows = await listInvitations(database.read, reach, at, sliceOf(query))
      const roles = await rolesBehind(
        database.read,
        rows.map(row => row.role_id),
      )
      return {
        items: rows.map(row => invitationOf(row, roles)),
        total: await countInvitations(database.read, reach, at),
      }
    },

    async create(caller, input) {
      const { token_hash, link } = deps.links.make('invitation', LIMITS.invitation_h)
      const row: InvitationRow = {
        id: newId(),
        email: input.email,
        name: input.name ?? null,
        role_id: input.role,
        organization_id: input.organization_id,
        workspace_id: input.workspace_id,
        token_hash,
        created_by_type: caller.principal.type,
        created_by_id: caller.principal.id,
        created_at: now().toISOString(),
        expires_at: link.expires_at,
      }
      const role = await database.write(async tx => {
        // Inside: the place may be deleted meanwhile.
        const given = await requireGivable(deps, tx, caller, 'user:write', input)
        await clearInvitations(tx, row.created_at, row)
        // For each organization: one must not use up what the others need.
        if ((await countInvitationsOf(tx, row.organization_id, row.created_at)) >= LIMITS.invitations)
          throw new ApiError('LIMIT_REACHED', `${LIMITS.invitations} invitations wait there already`)
        await insertInvitation(tx, row)
        await audit.append(tx, caller, { ...eventOf('create', row), after: publicOf(row) })
        return given
      })
      return { ...invitationOf(row, new Map([[role.role_id, role]])), link }
    },

    async remove(caller, id) {
      await database.write(async tx => {
        const row = await invitationById(tx, id)
        if (!row) throw noInvitation()
        await access.require(caller, 'user:write', scopeOf(row), noInvitation)
        await deleteInvitation(tx, id)
        await audit.append(tx, caller, { ...eventOf('delete', row), before: publicOf(row) })
      })
    },

    async accept(anonymous, { token, name, password }, browser) {
      const token_hash = hashToken(token)
      const offered = await look(anonymous, token_hash)
      if (await userByEmail(database.read, offered.email)) throw hasAccount()
      const called = name ?? offered.name ?? offered.email
      await requireGoodPassword(password, { name: called, email: offered.email })
      const password_hash = await passwords.hash(password, known(anonymous))
      const begun = await database.write(async tx => {
        const row = await take(tx, anonymous, token_hash)
        if (await userByEmail(tx, row.email)) throw hasAccount()
        if ((await countAllUsers(tx)) >= LIMITS.users)
          throw new ApiError('LIMIT_REACHED', `There are ${LIMITS.users} users already`)
        const user: UserRow = {
          id: newId(),
          email: row.email,
          name: called,
          password_hash,
          status: 'active',
          created_at: now().toISOString(),
          last_login_at: null,
        }
        await insertUser(tx, user)
        await give(tx, await asUser(tx, user, anonymous), row, user.id)
        // With the role that was just given.
        const caller = await asUser(tx, user, anonymous)
        return await sessions.begin(tx, caller, user, {
          method: 'invitation',
          user_agent: browser.user_agent,
        })
      })
      return await sessions.finish(begun)
    },

    async acceptAs(caller, token) {
      const user = await userBehind(database, caller)
      const token_hash = hashToken(token)
      await look(caller, token_hash)
      return await database.write(async tx => {
        const row = await take(tx, caller, token_hash)
        if (row.email !== user.email)
          throw new ApiError('CONFLICT', 'This invitation is for another e-mail than the one of your account')
        await give(tx, caller, row, user.id)
        return await asUser(tx, user, caller)
      })
    },
  }
}

const hasAccount = () =>
  new ApiError('CONFLICT', 'This e-mail has an account: log in, and accept the invitation there')
