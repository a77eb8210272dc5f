import { ApiError } from '@nxmesh/contract'

export const etagOf = (version_number: number): string => `"v${version_number}"`

/**
 * The version number of `If-Match` (RFC 9110 section 13.1.1); null without one and for `*`. One strong tag as the
 * API gives it; where an endpoint does not honour it, sending it is an error: a caller who relies on it must not be misled.
 */
export function parseIfMatch(header: string | null, honoured: boolean): number | null {
  if (header === null) return null
  if (!honoured) throw new ApiError('MALFORMED_REQUEST', 'This endpoint does not honour If-Match')
  const value = header.trim()
  if (value === '*') return null
  const match = /^"v(\d{1,15})"$/.exec(value)
  if (!match) throw new ApiError('MALFORMED_REQUEST', 'If-Match must be one ETag such as "v3", or *')
  return Number(match[1])
}

/**
 * Refuses a request that was made by another site's page; for those that change something. Requests without `Origin`
 * do not come from a page.
 */
export function refuseForeignOrigin(headers: Headers): void {
  const origin = headers.get('origin')
  // A browser says this of itself, whatever the page does to the Origin (a sandboxed frame has `null`).
  if (headers.get('sec-fetch-site') === 'cross-site') throw foreign()
  if (origin !== null && !sameHost(origin, headers.get('host') ?? '')) throw foreign()
}

const foreign = () => new ApiError('FORBIDDEN', 'Requests from the pages of another site are refused')

function sameHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: origin_host } = new URL(origin)
  // The scheme's default port may be written or not.
  const own = `${protocol}//${host}`
  return /^https?:$/.test(protocol) && URL.canParse(own) && new URL(own).host === origin_host
}
