import { page } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { Account } from './account-service.ts'
import type { Caller } from './caller.ts'
import type { Invitations } from './invitations-service.ts'
import type { Login } from './login-service.ts'
import type { PasswordResets } from './reset-service.ts'
import type { Opened, Sessions } from './sessions-service.ts'
import type { Setup } from './setup-service.ts'

export type AccessRoutes = RoutesOf<
  | 'setup'
  | 'login'
  | 'refresh'
  | 'logout'
  | 'accept_invitation'
  | 'reset_password'
  | 'me'
  | 'me_update'
  | 'me_password'
  | 'me_accept_invitation'
  | 'me_sessions_list'
  | 'me_sessions_delete'
>

export interface AccessServices {
  readonly setup: Setup
  readonly login: Login
  readonly sessions: Sessions
  readonly account: Account
  readonly invitations: Invitations
  readonly resets: PasswordResets
  /** Ends the caller's session; answers where its identity provider ends its own. */
  readonly logout: (caller: Caller) => Promise<string | null>
}

const nothing = { body: undefined }
const opened = ({ session, refresh_token }: Opened) => ({ body: { data: session }, refresh_token })

/** What people do to get in, and with their own account. */
export function accessRoutes(services: AccessServices): AccessRoutes {
  const { setup, login, sessions, account, invitations, resets } = services
  return {
    setup: async ({ caller, body, browser }) => opened(await setup.complete(caller, body, browser)),
    login: async ({ caller, body, browser }) => opened(await login.login(caller, body, browser)),
    refresh: async ({ caller, browser }) => opened(await sessions.refresh(caller, browser)),
    logout: async ({ caller }) => ({
      body: { data: { logout_url: await services.logout(caller) } },
      refresh_token: null,
    }),
    accept_invitation: async ({ caller, body, browser }) =>
      opened(await invitations.accept(caller, body, browser)),
    reset_password: async ({ caller, body, browser }) => opened(await resets.reset(caller, body, browser)),
    me: async ({ caller }) => ({ body: { data: await account.me(caller) } }),
    me_update: async ({ caller, body }) => ({ body: { data: await account.rename(caller, body.name) } }),
    me_password: async ({ caller, body }) => {
      await account.changePassword(caller, body)
      return nothing
    },
    me_accept_invitation: async ({ caller, body }) => ({
      body: { data: await account.me(await invitations.acceptAs(caller, body.token)) },
    }),
    me_sessions_list: async ({ caller, query, url }) => ({
      body: page(query, await account.sessions(caller, query), url),
    }),
    me_sessions_delete: async ({ caller, params }) => {
      await account.endSession(caller, params.id)
      return nothing
    },
  }
}
