import { timingSafeEqual } from 'node:crypto'
import { ApiError, type Session } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import {
  consumeSetupToken,
  insertUser,
  isSetUp,
  markSetUp,
  replaceSetupToken,
  setupTokenHash,
  type UserRow,
} from './access-store.ts'
import type { Caller } from './caller.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { Passwords } from './passwords.ts'
import { callerOf, type Sessions } from './sessions-service.ts'
import { hashToken, newToken } from './tokens.ts'

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
   * Makes the owner, and the first organization and workspace where there are none; answers with a session.
   * Throws SETUP_CLOSED or SETUP_TOKEN_INVALID, after some of them RATE_LIMITED. Of two at once one wins.
   */
  complete(caller: Caller, input: SetupInput): Promise<Session>
}

export interface SetupDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly tenancy: Tenancy
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
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
    await audit.record(caller, {
      action: 'setup.complete',
      object_type: 'instance',
      result: 'refused',
      after: { reason: reason.toLowerCase() },
    })
    const closed = 'The first administrator exists already; set-up never re-opens'
    return new ApiError(reason, reason === 'SETUP_CLOSED' ? closed : 'The setup token is not valid')
  }

  const makeOwner = async (tx: Tx, anonymous: Caller, user: UserRow): Promise<Session> => {
    const caller = callerOf(user, anonymous)
    await insertUser(tx, user)
    await markSetUp(tx, user.created_at)
    const { email, name, role } = user
    await audit.append(tx, caller, {
      action: 'setup.complete',
      object_type: 'user',
      object_id: user.id,
      after: { email, name, role },
    })
    await tenancy.ensureFirst(tx, caller)
    return await sessions.open(tx, caller, user)
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

    async complete(anonymous, input) {
      const caller: Caller = { ...anonymous, door: 'setup' }
      const token_hash = hashToken(input.setup_token)
      await refuseEarly(caller, token_hash)
      const user: UserRow = {
        id: newId(),
        email: input.email,
        name: input.name ?? input.email,
        password_hash: await passwords.hash(input.password),
        role: 'owner',
        created_at: now().toISOString(),
      }
      const session = await database.write(async tx => {
        const won = !(await isSetUp(tx)) && (await consumeSetupToken(tx, token_hash))
        return won ? await makeOwner(tx, caller, user) : null
      })
      if (!session) throw await refused(caller, 'SETUP_CLOSED')
      return session
    },
  }
}

function sameHash(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
