import type { Link } from '@nxmesh/contract'
import { hashToken, newToken } from './tokens.ts'

export interface MadeLink {
  readonly token: string
  readonly token_hash: string
  readonly link: Link
}

/** One-time links. Whoever has one may use it: it is answered once, and only its hash is stored. */
export interface LinkMaker {
  make(kind: 'invitation' | 'reset', good_h: number): MadeLink
}

/** Pages of the console. The token stands behind `#`, which a browser sends to no server. */
const PAGES = { invitation: '/accept-invitation', reset: '/reset-password' } as const

export function makeLinkMaker(deps: { now: () => Date; masterUrl: () => string }): LinkMaker {
  return {
    make(kind, good_h) {
      const token = newToken(kind)
      const expires_at = new Date(deps.now().getTime() + good_h * 3_600_000).toISOString()
      const url = `${deps.masterUrl()}${PAGES[kind]}#${token}`
      return { token, token_hash: hashToken(token), link: { token, url, expires_at } }
    },
  }
}
