import { ApiError, ROLE_IDS } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import type { Browser } from '../http/cookies.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import type { Caller } from './caller.ts'
import { asUser } from './grants.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { requireGoodPassword } from './password-rules.ts'
import { known, type Passwords } from './passwords.ts'
import type { RefusalRows } from './refusal-rows.ts'
import { insertBinding } from './roles-store.ts'
import type { Begun, Opened, Sessions } from './sessions-service.ts'
import { consumeSetupToken, isSetUp, markSetUp, replaceSetupToken, setupTokenHash } from './setup-store.ts'
import { hashToken, newToken, sameHash } from './tokens.ts'
import { insertUser, type UserRow } from './users-store.ts'

export interface SetupInput {
  readonly setup_token: string
  readonly email: string
  readonly password: string
  readonly name?: string | undefined
}

export interface Setup {
  /** A new setup token for this start, in the place of one from an earlier start; null when the first administrator was ever made. */
  issueToken(): Promise<string | null>
  /**
   * Makes the first person: administrator of the instance, and owner of the first organization, which is made with a workspace
   * where there is none; answers with a session.
   * Throws SETUP_CLOSED or SETUP_TOKEN_INVALID, after some of them RATE_LIMITED. Of two at once one wins.
   */
  complete(caller: Caller, input: SetupInput, browser: Browser): Promise<Opened>
}

export interface SetupDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly tenancy: Tenancy
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
  readonly refusal_rows: RefusalRows
  readonly now: () => Date
  readonly newId: () => string
}

export function makeSetup(deps: SetupDeps): Setup {
  const { database, audit, tenancy, sessions, passwords, throttle, now, newId } = deps

  /** Before the costly hash; what decides is the transaction. */
  const refuseEarly = async (caller: Caller, token_hash: string) => {
    if (await isSetUp(database.read)) throw await refused(caller, 'SETUP_CLOSED')
    const expected = await setupTokenHash(database.read)
    if (expected === null || !sameHash(expected, token_hash))
      throw await refused(caller, 'SETUP_TOKEN_INVALID')
  }

  /** Slowed, so that strangers cannot fill the audit log; the right token is never refused, so never slowed. */
  const refused = async (caller: Caller, reason: 'SETUP_CLOSED' | 'SETUP_TOKEN_INVALID') => {
    throttle.attempt(caller.ip_address, 'setup')
    await deps.refusal_rows.tell(caller, {
      action: 'setup.complete',
      object_type: 'instance',
      after: { reason: reason.toLowerCase() },
    })
    const closed = 'The first administrator exists already; set-up never re-opens'
    return new ApiError(
      reason,
      reason === 'SETUP_CLOSED'
        ? closed
        : 'The setup token is not valid: use the one that the master printed at its latest start',
    )
  }

  const bind = (tx: Tx, user: UserRow, role_id: string, organization_id: string | null) =>
    insertBinding(tx, {
      id: newId(),
      user_id: user.id,
      role_id,
      organization_id,
      workspace_id: null,
      provider_id: null,
      created_at: user.created_at,
    })

  const makeFirst = async (tx: Tx, anonymous: Caller, user: UserRow, browser: Browser): Promise<Begun> => {
    await insertUser(tx, user)
    await markSetUp(tx, user.created_at)
    await bind(tx, user, ROLE_IDS.instance_admin, null)
    const caller = await asUser(tx, user, anonymous)
    const { email, name } = user
    await audit.append(tx, caller, {
      action: 'setup.complete',
      object_type: 'user',
      object_id: user.id,
      after: { email, name, role: 'instance_admin' },
    })
    for (const organization_id of await tenancy.ensureFirst(tx, caller))
      await bind(tx, user, ROLE_IDS.owner, organization_id)
    const how = { method: 'setup', user_agent: browser.user_agent } as const
    return await sessions.begin(tx, await asUser(tx, user, anonymous), user, how)
  }

  return {
    async issueToken() {
      const token = newToken('setup')
      return await database.write(async tx => {
        if (await isSetUp(tx)) return null
        await replaceSetupToken(tx, hashToken(token))
        return token
      })
    },

    async complete(anonymous, input, browser) {
      const caller: Caller = { ...anonymous, door: 'setup' }
      const token_hash = hashToken(input.setup_token)
      await refuseEarly(caller, token_hash)
      const name = input.name ?? input.email
      await requireGoodPassword(input.password, { name, email: input.email })
      const user: UserRow = {
        id: newId(),
        email: input.email,
        name,
        password_hash: await passwords.hash(input.password, known(caller)),
        status: 'active',
        created_at: now().toISOString(),
        last_login_at: null,
      }
      const begun = await database.write(async tx => {
        const won = !(await isSetUp(tx)) && (await consumeSetupToken(tx, token_hash))
        return won ? await makeFirst(tx, caller, user, browser) : null
      })
      if (!begun) throw await refused(caller, 'SETUP_CLOSED')
      return await sessions.finish(begun)
    },
  }
}
