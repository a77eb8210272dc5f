import { ApiError, type Identity } from '@nxmesh/contract'
import type { AuditLog } from '../../audit/audit.ts'
import { afterCommit } from '../../database/after-commit.ts'
import type { Database } from '../../database/database.ts'
import type { Browser } from '../../http/cookies.ts'
import { type PageOf, sliceOf } from '../../http/page.ts'
import { userBehind } from '../account-service.ts'
import type { Authenticator } from '../authenticator.ts'
import type { Caller } from '../caller.ts'
import { deleteSessionsOfProvider, sessionByRefresh } from '../sessions-store.ts'
import { hashToken } from '../tokens.ts'
import { userById } from '../users-store.ts'
import type { GroupRoles } from './group-roles.ts'
import { deleteIdentity, type IdentityRow, identitiesOf } from './identities-store.ts'
import type { Onward, ProviderLogin } from './provider-login-service.ts'
import { noIdentity } from './provider-rules.ts'
import { type ProviderRow, providersById } from './providers-store.ts'

/** The identities of one's own account. All throw CONFLICT for a key, which belongs to no person. */
export interface Identities {
  list(caller: Caller, query: { page: number; per_page: number }): Promise<PageOf<Identity>>
  /** In the browser of the caller's session; throws FORBIDDEN without its cookie. */
  link(caller: Caller, wanted: { provider_id: string; return_to: string }, browser: Browser): Promise<Onward>
  /** With the roles and the other sessions that came from it. Throws NOT_FOUND, and CONFLICT for the only way in. */
  unlink(caller: Caller, id: string): Promise<void>
}

export interface IdentitiesDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly authenticator: Authenticator
  readonly group_roles: GroupRoles
  readonly login: ProviderLogin
}

export function makeIdentities(deps: IdentitiesDeps): Identities {
  const { database, audit, authenticator, group_roles, login } = deps

  /** An access token ends soon, an identity does not: whoever has only stolen the one must not get the other by it. */
  const requireOwnBrowser = async ({ session_id }: Caller, { refresh_token }: Browser) => {
    const session =
      refresh_token === null ? undefined : await sessionByRefresh(database.read, hashToken(refresh_token))
    if (session === undefined || session.id !== session_id)
      throw new ApiError(
        'FORBIDDEN',
        'An identity is linked in the browser that is logged in: send its session cookie along with the access token',
      )
  }

  return {
    async list(caller, query) {
      const user = await userBehind(database, caller)
      const rows = await identitiesOf(database.read, user.id)
      const { limit, offset } = sliceOf(query)
      const page = rows.slice(offset, offset + limit)
      const providers = await providersById(database.read, providerIds(page))
      return { items: page.map(row => identityOf(row, providers)), total: rows.length }
    },

    async link(caller, { provider_id, return_to }, browser) {
      const user = await userBehind(database, caller)
      await requireOwnBrowser(caller, browser)
      return await login.beginLink(caller, user.id, provider_id, return_to, browser)
    },

    async unlink(caller, id) {
      const { id: user_id } = await userBehind(database, caller)
      await database.write(async tx => {
        const rows = await identitiesOf(tx, user_id)
        const row = rows.find(one => one.id === id)
        if (!row) throw noIdentity()
        const others = rows.filter(one => one.id !== id)
        const user = await userById(tx, user_id)
        const enabled = (await providersById(tx, providerIds(others))).some(one => one.enabled === 1)
        if (!user?.password_hash && !enabled)
          throw new ApiError(
            'CONFLICT',
            'This is the only way in: set a password or link another identity first',
          )
        await deleteIdentity(tx, id)
        const { provider_id, issuer, subject } = row
        const last = provider_id !== null && !others.some(one => one.provider_id === provider_id)
        const roles_ended = last ? await group_roles.end(tx, caller, { provider_id, user_id }) : 0
        const of = { user_id, but: caller.session_id }
        const ended = last ? await deleteSessionsOfProvider(tx, provider_id, of) : []
        await audit.append(tx, caller, {
          action: 'identity.delete',
          object_type: 'identity',
          object_id: id,
          before: { user_id, issuer, subject, provider_id },
          after: { roles_ended, sessions_ended: ended.length },
        })
        afterCommit(tx, () => authenticator.forget(ended))
      })
    },
  }
}

const providerIds = (rows: readonly IdentityRow[]): string[] => rows.flatMap(row => row.provider_id ?? [])

const identityOf = (row: IdentityRow, providers: readonly ProviderRow[]): Identity => ({
  id: row.id,
  provider_id: row.provider_id,
  provider_name: providers.find(one => one.id === row.provider_id)?.name ?? null,
  issuer: row.issuer,
  subject: row.subject,
  created_at: row.created_at,
  last_login_at: row.last_login_at,
})
