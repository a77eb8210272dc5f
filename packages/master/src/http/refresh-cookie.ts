import { BASE_PATH, LIMITS } from '@nxmesh/contract'

/** What a request says of the browser that sent it, for endpoints that read the cookie. */
export interface Browser {
  /** From the cookie; null without one. */
  readonly refresh_token: string | null
  readonly user_agent: string | null
}

const NAME = 'nxmesh_refresh'
const VALUE = /^[A-Za-z0-9_-]{20,128}$/

export function browserOf(headers: Headers): Browser {
  const user_agent = headers.get('user-agent')
  return {
    refresh_token: refreshTokenOf(headers),
    user_agent: user_agent === null ? null : printable(user_agent).slice(0, LIMITS.user_agent_chars),
  }
}

/** The refresh token of the cookie; null without one, or with two: then nobody knows which was meant. */
export function refreshTokenOf(headers: Headers): string | null {
  const values = (headers.get('cookie') ?? '').split(';').flatMap(part => {
    const [name = '', ...value] = part.trim().split('=')
    return name === NAME ? [value.join('=')] : []
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
  const parts = [`${NAME}=${refresh_token ?? ''}`, `Path=${BASE_PATH}`, `Max-Age=${age_s}`, 'HttpOnly']
  return [...parts, 'SameSite=Strict', ...(tls ? ['Secure'] : [])].join('; ')
}
