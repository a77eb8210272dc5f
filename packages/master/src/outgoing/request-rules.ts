import { OutgoingError, type OutgoingInit } from './outgoing.ts'

/** One request to one place, before it is known where that is. Pure. */
export interface Hop {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: Uint8Array | null
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

/** What the connection is made of is ours to say; cookies and credentials for proxies belong to nobody here. */
const OURS = [
  'accept-encoding',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** The request that a caller asks for. Throws `OutgoingError` for what is not sent. */
export function firstHop(url: string | URL, init: OutgoingInit): Hop {
  const method = (init.method ?? 'GET').toUpperCase()
  if (!METHODS.includes(method)) throw invalid(`The method must be one of ${METHODS.join(', ')}`)
  const body = bytesOf(init.body ?? null)
  if (body && (method === 'GET' || method === 'HEAD')) throw invalid(`${method} takes no body`)
  const headers = headersOf(init.headers)
  if (init.body instanceof URLSearchParams && !headers.has('content-type'))
    headers.set('content-type', 'application/x-www-form-urlencoded;charset=UTF-8')
  return { url: parseTarget(String(url)), method, headers, body }
}

function headersOf(given: OutgoingInit['headers']): Headers {
  let headers: Headers
  try {
    headers = new Headers(given)
  } catch {
    throw invalid('A header is not valid')
  }
  const ours = OURS.find(name => headers.has(name))
  if (ours) throw invalid(`The header ${ours} cannot be set`)
  return headers
}

function bytesOf(body: OutgoingInit['body']): Uint8Array | null {
  if (body === null || body === undefined) return null
  if (typeof body === 'string') return new TextEncoder().encode(body)
  if (body instanceof URLSearchParams) return new TextEncoder().encode(body.toString())
  if (body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  throw invalid('The body must be a text, form fields or bytes')
}

/** Parsed as the web does, so that odd spellings of addresses (`0x7f.1`, `2130706433`) are the addresses that they mean. */
function parseTarget(text: string): URL {
  if (!URL.canParse(text)) throw invalid('The URL is not valid')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw invalid('The URL must begin with https:// or http://')
  if (url.username !== '' || url.password !== '')
    throw invalid(`The URL of ${url.host} must not hold a user or a password`)
  if (url.port === '0') throw invalid(`The URL of ${url.hostname} must not name port 0`)
  return url
}

const REDIRECTS = [301, 302, 303, 307, 308]

/** Where an answer sends the request; null: nowhere. Throws where it must not be followed. */
export function nextHop(hop: Hop, status: number, location: string | null): Hop | null {
  if (!REDIRECTS.includes(status) || location === null) return null
  if (!URL.canParse(location, hop.url.href)) throw redirect(hop, 'to something that is no URL')
  const url = parseTarget(new URL(location, hop.url).href)
  if (hop.url.protocol === 'https:' && url.protocol === 'http:')
    throw redirect(hop, `from https to http (${url.origin})`)
  const headers = new Headers(hop.headers)
  if (url.origin !== hop.url.origin) headers.delete('authorization')
  const keeps = status >= 307 || hop.method === 'GET' || hop.method === 'HEAD'
  if (keeps) return { ...hop, url, headers }
  headers.delete('content-type')
  return { url, method: 'GET', headers, body: null }
}

export const redirect = (hop: Hop, where: string) =>
  new OutgoingError('redirect', `${hop.url.origin} redirects ${where}; that is not followed`)

const invalid = (message: string) => new OutgoingError('invalid', message)
