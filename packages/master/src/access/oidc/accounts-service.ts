import { LIMITS } from '@nxmesh/contract'
import type { AuditLog } from '../../audit/audit.ts'
import type { Tx } from '../../database/database.ts'
import type { Caller } from '../caller.ts'
import { asUser } from '../grants.ts'
import type { Begun, Sessions } from '../sessions-service.ts'
import { sessionById } from '../sessions-store.ts'
import { countAllUsers, insertUser, type UserRow, userByEmail, userById } from '../users-store.ts'
import type { GroupRoles } from './group-roles.ts'
import {
  type IdentityRow,
  identitiesOf,
  identityBySubject,
  insertIdentity,
  touchIdentity,
} from './identities-store.ts'
import { emailFrom, nameFrom, placeholderEmail } from './oidc-rules.ts'
import { LoginRefused } from './provider-rules.ts'
import type { ProviderRow } from './providers-store.ts'
import type { Told } from './relying-party.ts'

/**
 * Whose account an identity is. An account belongs to issuer and subject, which never mean another person; never to an e-mail
 * address, which may.
 */
export interface IdentityAccounts {
  /** Logs the person in, making the account where the provider may. Throws `LoginRefused`. */
  enter(
    tx: Tx,
    anonymous: Caller,
    provider: ProviderRow,
    told: Told,
    user_agent: string | null,
  ): Promise<Begun>
  /** Binds the identity to the account that began this. Throws `LoginRefused`. */
  link(
    tx: Tx,
    anonymous: Caller,
    provider: ProviderRow,
    told: Told,
    to: { user_id: string; session_id: string | null },
  ): Promise<void>
}

export interface AccountsDeps {
  readonly audit: AuditLog
  readonly sessions: Sessions
  readonly group_roles: GroupRoles
  readonly now: () => Date
  readonly newId: () => string
}

export function makeIdentityAccounts(deps: AccountsDeps): IdentityAccounts {
  const { audit, sessions, group_roles, now, newId } = deps

  const bind = async (tx: Tx, caller: Caller, user_id: string, provider: ProviderRow, told: Told) => {
    if ((await identitiesOf(tx, user_id)).length >= LIMITS.identities_per_user)
      throw new LoginRefused('limit_reached', 'identities_per_user')
    const row: IdentityRow = {
      id: newId(),
      issuer: told.issuer,
      subject: told.subject,
      provider_id: provider.id,
      user_id,
      created_at: now().toISOString(),
      last_login_at: null,
    }
    await insertIdentity(tx, row)
    const { issuer, subject } = row
    await audit.append(tx, caller, {
      action: 'identity.create',
      object_type: 'identity',
      object_id: row.id,
      after: { user_id, issuer, subject, provider_id: provider.id },
    })
    return row
  }

  /** The provider's word that an address is verified gives the new account the address, and nobody else's account. */
  const emailFor = async (tx: Tx, provider: ProviderRow, told: Told): Promise<string> => {
    const email = emailFrom(told.verified_email)
    const free = email !== null && !(await userByEmail(tx, email))
    return free ? email : placeholderEmail(told.issuer, told.subject, provider.id)
  }

  const signUp = async (tx: Tx, anonymous: Caller, provider: ProviderRow, told: Told) => {
    if (provider.allow_sign_up !== 1) throw new LoginRefused('no_account', 'sign_up_not_allowed')
    if ((await countAllUsers(tx)) >= LIMITS.users) throw new LoginRefused('limit_reached', 'users')
    const user: UserRow = {
      id: newId(),
      email: await emailFor(tx, provider, told),
      name: nameFrom(told.names, `Somebody of ${provider.name}`.slice(0, LIMITS.name_chars).trim()),
      password_hash: null,
      status: 'active',
      created_at: now().toISOString(),
      last_login_at: null,
    }
    await insertUser(tx, user)
    const caller = await asUser(tx, user, anonymous)
    const { email, name } = user
    await audit.append(tx, caller, {
      action: 'user.create',
      object_type: 'user',
      object_id: user.id,
      after: { email, name, provider_id: provider.id },
    })
    return { user, identity: await bind(tx, caller, user.id, provider, told) }
  }

  const known = async (tx: Tx, identity: IdentityRow) => {
    const user = await userById(tx, identity.user_id)
    if (user?.status !== 'active') throw new LoginRefused('account_disabled', 'user_disabled')
    return { user, identity }
  }

  return {
    async enter(tx, anonymous, provider, told, user_agent) {
      const found = await identityBySubject(tx, told.issuer, told.subject)
      const { user, identity } = found ? await known(tx, found) : await signUp(tx, anonymous, provider, told)
      await touchIdentity(tx, identity.id, { provider_id: provider.id, last_login_at: now().toISOString() })
      const { groups, id_token } = told
      await group_roles.follow(tx, await asUser(tx, user, anonymous), { provider, user_id: user.id, groups })
      const caller = await asUser(tx, user, anonymous)
      const how = { method: 'oidc', user_agent, provider: { id: provider.id, id_token } } as const
      return await sessions.begin(tx, caller, user, how)
    },

    async link(tx, anonymous, provider, told, { user_id, session_id }) {
      const user = await userById(tx, user_id)
      const session = session_id === null ? undefined : await sessionById(tx, session_id)
      const lives = session !== undefined && Date.parse(session.expires_at) > now().getTime()
      if (user?.status !== 'active' || session?.user_id !== user_id || !lives)
        throw new LoginRefused('login_expired', 'session_ended')
      const found = await identityBySubject(tx, told.issuer, told.subject)
      if (found && found.user_id !== user_id)
        throw new LoginRefused('identity_taken', 'identity_of_another_account')
      if (!found)
        await bind(tx, { ...(await asUser(tx, user, anonymous)), session_id }, user_id, provider, told)
    },
  }
}
