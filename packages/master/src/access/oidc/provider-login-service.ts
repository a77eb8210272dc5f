import { randomBytes } from 'node:crypto'
import { ApiError, LIMITS, type LoginCallback, type LoginError } from '@nxmesh/contract'
import type { Database } from '../../database/database.ts'
import type { Browser } from '../../http/cookies.ts'
import { addressKey } from '../../http/token-buckets.ts'
import type { Caller } from '../caller.ts'
import type { LoginThrottle } from '../login-throttle.ts'
import type { RefusalRows } from '../refusal-rows.ts'
import { hashToken, sameHash } from '../tokens.ts'
import type { IdentityAccounts } from './accounts-service.ts'
import {
  countPending,
  deleteOldestPending,
  deletePendingBefore,
  insertPending,
  isPending,
  type PendingRow,
  takePending,
} from './pending-store.ts'
import { configOf, LoginRefused, noProvider, withError } from './provider-rules.ts'
import type { ProviderSecrets } from './provider-secrets.ts'
import { type ProviderRow, providerById } from './providers-store.ts'
import { type Checks, ProviderError, type RelyingParty, type Told } from './relying-party.ts'

/** Where the browser goes on, and with which cookies. */
export interface Onward {
  readonly location: string
  readonly login_binding?: string
  readonly refresh_token?: string
}

/** Log-ins at identity providers. */
export interface ProviderLogin {
  /** Throws NOT_FOUND, RATE_LIMITED; what the provider does wrong is told at the log-in page. */
  begin(caller: Caller, provider_id: string, return_to: string, browser: Browser): Promise<Onward>
  /** Begins to link an identity to the caller's account. Throws NOT_FOUND, RATE_LIMITED, UNAVAILABLE. */
  beginLink(
    caller: Caller,
    user_id: string,
    provider_id: string,
    return_to: string,
    browser: Browser,
  ): Promise<Onward>
  /** Never throws for what the provider or the browser did: the person reads a word, the audit log the reason. */
  finish(caller: Caller, params: LoginCallback, browser: Browser): Promise<Onward>
}

export interface ProviderLoginDeps {
  readonly database: Database
  readonly refusal_rows: RefusalRows
  readonly throttle: LoginThrottle
  readonly party: RelyingParty
  readonly accounts: IdentityAccounts
  readonly provider_secrets: ProviderSecrets
  readonly redirectUri: () => string
  readonly now: () => Date
}

const LOGIN_PAGE = '/login'
const fresh = () => randomBytes(32).toString('base64url')

export function makeProviderLogin(deps: ProviderLoginDeps): ProviderLogin {
  const { database, throttle, party, accounts, provider_secrets, now } = deps

  const configured = async (row: ProviderRow) => configOf(row, await provider_secrets.clientSecret(row))

  const enabled = async (provider_id: string): Promise<ProviderRow> => {
    const row = await providerById(database.read, provider_id)
    if (row?.enabled !== 1) throw noProvider()
    return row
  }

  const keep = async (row: PendingRow) => {
    await database.write(async tx => {
      await deletePendingBefore(tx, row.created_at)
      if ((await countPending(tx, row.address)) >= LIMITS.pending_logins_of_address)
        throw new ApiError('RATE_LIMITED', 'Too many log-ins were begun from your address and not finished', {
          retry_after_s: LIMITS.pending_login_s,
        })
      if ((await countPending(tx)) >= LIMITS.pending_logins) await deleteOldestPending(tx)
      await insertPending(tx, row)
    })
  }

  const start = async (
    caller: Caller,
    provider: ProviderRow,
    to: Pick<PendingRow, 'return_to' | 'user_id' | 'session_id'>,
    browser: Browser,
  ): Promise<Onward> => {
    const checks: Checks = { state: fresh(), nonce: fresh(), code_verifier: fresh() }
    const login_binding = browser.login_binding ?? fresh()
    const location = await party.authorizationUrl(await configured(provider), checks, deps.redirectUri())
    const state_hash = hashToken(checks.state)
    const created_ms = now().getTime()
    await keep({
      ...to,
      state_hash,
      binding_hash: hashToken(login_binding),
      provider_id: provider.id,
      sealed_checks: provider_secrets.sealChecks(state_hash, checks),
      address: addressKey(caller.ip_address),
      created_at: new Date(created_ms).toISOString(),
      expires_at: new Date(created_ms + LIMITS.pending_login_s * 1_000).toISOString(),
    })
    return { location, login_binding }
  }

  /** The log-in that a callback belongs to. It is gone afterwards, whatever comes of it. */
  const take = async (state: string | undefined, browser: Browser): Promise<PendingRow> => {
    const state_hash = hashToken(state ?? '')
    const waits = state !== undefined && (await isPending(database.read, state_hash))
    const row = waits ? await database.write(tx => takePending(tx, state_hash)) : undefined
    if (!row) throw new LoginRefused('login_expired', 'state_unknown')
    if (Date.parse(row.expires_at) <= now().getTime())
      throw new LoginRefused('login_expired', 'state_expired')
    if (!sameHash(row.binding_hash, hashToken(browser.login_binding ?? '')))
      throw new LoginRefused('other_browser', 'other_browser')
    return row
  }

  const ask = async (
    row: PendingRow,
    params: LoginCallback,
  ): Promise<{ provider: ProviderRow; told: Told }> => {
    const provider = await providerById(database.read, row.provider_id)
    if (provider?.enabled !== 1) throw new LoginRefused('provider_unavailable', 'provider_disabled')
    const checks = (await provider_secrets.checks(row.state_hash, row.sealed_checks)) as Checks
    const told = await party.finish(await configured(provider), params, checks, deps.redirectUri())
    return { provider, told }
  }

  const complete = (caller: Caller, row: PendingRow, told: Told, user_agent: string | null) =>
    database.write(async tx => {
      // It may have been disabled while it was asked.
      const provider = await providerById(tx, row.provider_id)
      if (provider?.enabled !== 1) throw new LoginRefused('provider_unavailable', 'provider_disabled')
      if (row.user_id === null) return await accounts.enter(tx, caller, provider, told, user_agent)
      await accounts.link(tx, caller, provider, told, { user_id: row.user_id, session_id: row.session_id })
      return null
    })

  /** `page`: where the person reads the word. */
  const refuse = async (
    caller: Caller,
    error: unknown,
    about: { provider_id: string | null; page: string; linking: boolean },
  ): Promise<Onward> => {
    const { word, reason } = inWords(error)
    await deps.refusal_rows.tell(caller, {
      action: about.linking ? 'identity.create' : 'session.create',
      object_type: about.linking ? 'identity' : 'session',
      after: { reason, provider_id: about.provider_id },
    })
    return { location: withError(about.page, word) }
  }

  /** Of what no log-in is known that was begun: slowed, so that strangers do not fill the audit log. */
  const refuseStranger = async (caller: Caller, error: unknown): Promise<Onward> => {
    try {
      throttle.attempt(caller.ip_address, 'identity_provider')
    } catch (slowed) {
      if (!(slowed instanceof ApiError)) throw slowed
      return { location: withError(LOGIN_PAGE, 'rate_limited') }
    }
    return await refuse(caller, error, { provider_id: null, page: LOGIN_PAGE, linking: false })
  }

  return {
    async begin(caller, provider_id, return_to, browser) {
      const provider = await enabled(provider_id)
      try {
        return await start(caller, provider, { return_to, user_id: null, session_id: null }, browser)
      } catch (error) {
        if (error instanceof ProviderError) return await refuseStranger(caller, error)
        throw error
      }
    },

    async beginLink(caller, user_id, provider_id, return_to, browser) {
      const provider = await enabled(provider_id)
      try {
        return await start(caller, provider, { return_to, user_id, session_id: caller.session_id }, browser)
      } catch (error) {
        if (error instanceof ProviderError)
          throw new ApiError('UNAVAILABLE', `${provider.name} does not take log-ins now`)
        throw error
      }
    },

    async finish(caller, params, browser) {
      let row: PendingRow
      try {
        row = await take(params.state, browser)
      } catch (error) {
        return await refuseStranger(caller, error)
      }
      const linking = row.user_id !== null
      try {
        const { told } = await ask(row, params)
        const begun = await complete(caller, row, told, browser.user_agent)
        return { location: row.return_to, ...(begun ? { refresh_token: begun.refresh_token } : {}) }
      } catch (error) {
        const page = linking ? row.return_to : LOGIN_PAGE
        return await refuse(caller, error, { provider_id: row.provider_id, page, linking })
      }
    },
  }
}

/** Throws what is no refusal. */
function inWords(error: unknown): { word: LoginError; reason: string } {
  if (error instanceof LoginRefused) return error
  if (!(error instanceof ProviderError)) throw error
  return { word: error.denied ? 'access_denied' : 'provider_failed', reason: error.message }
}
