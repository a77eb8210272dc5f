import { BASE_PATH, LIMITS } from '@nxmesh/contract'

/** What a request says of the browser that sent it, for endpoints that read the cookie. */
export interface Browser {
  /** From the cookie; null without one. */
  readonly refresh_token: string | null
  /** What a log-in at an identity provider is bound to; null without one. */
  readonly login_binding: string | null
  readonly user_agent: string | null
}

const REFRESH = 'nxmesh_refresh'
/** RFC 6265bis section 4.1.3.2: no other host of the domain can plant one with this prefix. It needs TLS. */
const LOGIN = { tls: '__Host-nxmesh_login', plain: 'nxmesh_login' } as const
const VALUE = /^[A-Za-z0-9_-]{20,128}$/

export function browserOf(headers: Headers, tls: boolean): Browser {
  const user_agent = headers.get('user-agent')
  return {
    refresh_token: refreshTokenOf(headers),
    login_binding: cookieOf(headers, tls ? LOGIN.tls : LOGIN.plain),
    user_agent: user_agent === null ? null : printable(user_agent).slice(0, LIMITS.user_agent_chars),
  }
}

/** For whoever needs nothing else of the browser. */
export const refreshTokenOf = (headers: Headers): string | null => cookieOf(headers, REFRESH)

/** The token in a cookie of ours; null without one, or with two: then nobody knows which was meant. */
function cookieOf(headers: Headers, wanted: string): string | null {
  const values = (headers.get('cookie') ?? '').split(';').flatMap(part => {
    const [name = '', ...value] = part.trim().split('=')
    return name === wanted ? [value.join('=')] : []
  })
  const [only] = values
  return values.length === 1 && only !== undefined && VALUE.test(only) ? only : null
}

/** It is shown to people, in lists and terminals. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?')

/**
 * The `Set-Cookie` that keeps the refresh token where no script sees it, sent back to this API only and never from another
 * site's page (RFC 6265bis). Null takes it away. `Secure` only over TLS: the other listener is loopback's.
 */
export function refreshCookie(refresh_token: string | null, tls: boolean): string {
  const age_s = refresh_token === null ? 0 : LIMITS.session_max_h * 3_600
  const parts = [`${REFRESH}=${refresh_token ?? ''}`, `Path=${BASE_PATH}`, `Max-Age=${age_s}`, 'HttpOnly']
  return [...parts, 'SameSite=Strict', ...(tls ? ['Secure'] : [])].join('; ')
}

/**
 * The `Set-Cookie` that ties a log-in to the browser that began it. `Lax`, because the browser comes back from another site,
 * by a link. It goes by its age, and may tie several log-ins at once: a person may begin in two tabs.
 */
export function loginCookie(login_binding: string, tls: boolean): string {
  const parts = [
    `${tls ? LOGIN.tls : LOGIN.plain}=${login_binding}`,
    'Path=/',
    `Max-Age=${LIMITS.pending_login_s}`,
  ]
  return [...parts, 'HttpOnly', 'SameSite=Lax', ...(tls ? ['Secure'] : [])].join('; ')
}
