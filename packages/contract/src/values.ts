import { z } from 'zod'
import { networkText, parseNetwork } from './addresses.ts'
import { LIMITS } from './limits.ts'
import { format } from './words.ts'

/**
 * Value types of the wire. Each refuses what could mean something else to nginx, a terminal or a person's eye:
 * control characters, line separators, zero-width and bidirectional marks are refused everywhere, never cleaned up.
 */

// Controls, line and paragraph separators, lone surrogates, and what no font shows (soft hyphen, zero-width and bidirectional
// marks, fillers, tags; Unicode's Default_Ignorable) but for the variation selectors of emoji.
const UNSAFE = /(?![\ufe00-\ufe0f])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\ufff9-\ufffb\p{Default_Ignorable_Code_Point}]/u

/** Text for people: one line, no invisible characters, not blank at either end. */
export const text = (max_chars: number, min_chars = 1) =>
  z
    .string()
    .min(min_chars)
    .max(max_chars)
    .refine(value => !UNSAFE.test(value), 'must not contain control, invisible or line-break characters')
    .refine(value => value === value.trim(), 'must not begin or end with a space')

export const id = z.uuid(format('must be a UUID')).transform(value => value.toLowerCase())
export const time = z.iso.datetime().describe('RFC 3339, UTC')
export const name = text(LIMITS.name_chars)
export const slug = z
  .string()
  .max(LIMITS.slug_chars)
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'must be lower-case letters, digits and single hyphens')
export const email = z
  .email(format('must be an e-mail address'))
  .max(LIMITS.email_chars)
  .transform(value => value.toLowerCase())
export const password = z.string().min(LIMITS.password_min_chars).max(LIMITS.password_max_chars)
export const secretToken = z
  .string()
  .min(16)
  .max(LIMITS.token_chars)
  .regex(/^[A-Za-z0-9_.-]+$/)

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
const HOST = new RegExp(`^(?:${LABEL}\\.)*${LABEL}$`)
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/

/** Lower-cases ASCII only: elsewhere a sign such as U+212A would turn into a letter that was never checked. */
const lowerCased = (value: string) => value.replace(/[A-Z]+/g, letters => letters.toLowerCase())

/** RFC 1123 host name in ASCII (internationalized names in their `xn--` form), lower-cased. */
export function isHostName(value: string): boolean {
  if (value.length > LIMITS.host_name_chars || !HOST.test(value)) return false
  // A last label of digits only is an address that is not one, e.g. `1.2.3` or `10.0.0.256`.
  return IPV4.test(value) || !/(^|\.)\d+$/.test(value)
}

/** Domain names, comma-separated; `*.` may lead one. Normalized to `a.com, *.b.com`. */
export const serverName = z
  .string()
  .min(1)
  .max(LIMITS.server_name_chars)
  .transform((value, context) => {
    const names = value.split(',').map(part => lowerCased(part.replace(/^ +| +$/g, '')))
    if (names.length > LIMITS.server_names) context.addIssue(`must be at most ${LIMITS.server_names} names`)
    const seen = new Set<string>()
    for (const one of names) {
      if (!isHostName(one.startsWith('*.') ? one.slice(2) : one))
        context.addIssue(`Invalid domain format: ${JSON.stringify(one.slice(0, 80))}`)
      else if (seen.has(one)) context.addIssue(`${one} is there twice`)
      seen.add(one)
    }
    return names.join(', ')
  })

/** The names in a normalized `server_name`. */
export const serverNames = (value: string): string[] => value.split(',').map(part => part.trim())

export const port = z.int().min(1).max(65_535)

/**
 * A host that nginx connects to: a name (underscores as in Docker's service names are fine) or an IPv4 address. `unix` is
 * none: in front of a colon nginx takes it for the beginning of a socket's path.
 */
const isPeer = (host: string) => host !== 'unix' && isHostName(host.replaceAll('_', '-'))

/** `host:port`, `IPv4:port` or `[IPv6]:port`, lower-cased. */
export const serverAddress = z
  .string()
  .max(LIMITS.address_chars)
  .transform((value, context) => {
    const [, ipv6, host, digits] =
      /^(?:\[([0-9a-f:.]+)\]|([^[\]:]+)):(\d{1,5})$/.exec(lowerCased(value)) ?? []
    const valid = isPort(Number(digits)) && (host === undefined ? isIpv6(ipv6 ?? '') : isPeer(host))
    if (!valid) context.addIssue('must be host:port, IPv4:port or [IPv6]:port')
    return valid ? `${host ?? `[${ipv6}]`}:${Number(digits)}` : value
  })

const isPort = (number: number) => number >= 1 && number <= 65_535

function isIpv6(value: string): boolean {
  return z.ipv6().safeParse(value).success
}

/** An IPv4 or IPv6 network, or one address, normalized: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1/32`. */
export const cidr = z
  .string()
  .max(LIMITS.cidr_chars)
  .transform((value, context) => {
    try {
      return networkText(parseNetwork(value))
    } catch (error) {
      context.addIssue((error as Error).message)
      return value
    }
  })

/** RFC 9110 section 5.1 field name. */
export const headerName = z
  .string()
  .min(1)
  .max(LIMITS.header_name_chars)
  .regex(/^[A-Za-z0-9!#%&*+.^_`|~-]+$/, 'must be an HTTP field name')

/** Fields of the connection and of a message's length: a second one would make two readers see different responses. */
const FRAMING =
  /^(?:connection|content-length|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i

/** A field that a response may be given beside those of its framing, which the server sets by itself. */
export const responseHeaderName = headerName.refine(
  name => !FRAMING.test(name),
  'is a field that the server sets by itself',
)

/** RFC 9110 section 5.5 field value in visible ASCII; taken literally, `$` included. */
export const headerValue = z
  .string()
  .max(LIMITS.header_value_chars)
  .regex(/^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/, 'must be visible ASCII without line breaks')

/**
 * Target of a proxy: http or https, host, optional port and path; re-serialized from its parsed parts.
 * No user, query, fragment, variables or characters that nginx gives a meaning.
 */
export const proxyUrl = z
  .string()
  .max(LIMITS.url_chars)
  .transform((value, context) => {
    const match =
      /^(https?):\/\/(\[[0-9a-f:.]+\]|[^/:[\]]+)(?::(\d{1,5}))?(\/[A-Za-z0-9/._~%!&*+=:@,()-]*)?$/i.exec(
        value,
      )
    const host = lowerCased(match?.[2] ?? '')
    const known = host.startsWith('[') ? isIpv6(host.slice(1, -1)) : isPeer(host)
    const portNumber = match?.[3] === undefined ? 80 : Number(match[3])
    if (!match || !known || !isPort(portNumber)) {
      context.addIssue(
        'must be http://host[:port][/path] or https://…, without query, fragment, user or variables',
      )
      return value
    }
    const portPart = match[3] === undefined ? '' : `:${portNumber}`
    return `${match[1]?.toLowerCase()}://${host}${portPart}${match[4] ?? ''}`
  })

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

/** Whether a URL's host is this machine by its very name. */
export const isLoopback = ({ hostname }: URL): boolean => LOOPBACK.test(hostname)

/** OpenID Connect Discovery 1.0 section 3: https, no query, no fragment. Plain http only on this machine, for trying out. */
export const issuerUrl = z
  .string()
  .max(LIMITS.url_chars)
  .transform((value, context) => {
    const url = /^[\x21-\x7e]+$/.test(value) && URL.canParse(value) ? new URL(value) : null
    const allowed = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url))
    if (
      !url ||
      !allowed ||
      /[?#\\]|\/\.well-known\//.test(value) ||
      url.username !== '' ||
      url.password !== ''
    )
      context.addIssue('must be an https URL without query, fragment or user (http only for this machine)')
    return value
  })

/**
 * A path of this master with its query, to which a browser may be sent: re-serialized from its parsed parts. What a browser
 * could take for another site is refused: `//host`, `/\\host`, `/.//host`, a scheme, control characters.
 */
export const localPath = z
  .string()
  .max(LIMITS.url_chars)
  .transform((value, context) => {
    const base = 'https://here.invalid'
    const url =
      /^\/[\x21-\x5b\x5d-\x7e]*$/.test(value) && URL.canParse(value, base) ? new URL(value, base) : null
    const path = url ? url.pathname + url.search + url.hash : ''
    if (url?.origin !== base || path.startsWith('//'))
      context.addIssue('must be a path of this master, such as /agents')
    return path
  })

/** Absolute folder on the agent's host, normalized (no `.` or `..`, no repeated or trailing slash). */
export const absolutePath = z
  .string()
  .max(LIMITS.path_chars)
  .regex(
    /^\/[A-Za-z0-9 ._/@+,=~-]*$/,
    'must be an absolute path of letters, digits and . _ / @ + , = ~ - or space',
  )
  .refine(value => !/(^|\/)\.{1,2}(\/|$)/.test(value), 'must not contain . or .. as a part')
  .transform(value => value.replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1'))

/** File names separated by spaces, e.g. `index.html index.htm`. */
export const indexFiles = z
  .string()
  .max(LIMITS.index_chars)
  .regex(
    /^[A-Za-z0-9_-][A-Za-z0-9._-]*( [A-Za-z0-9_-][A-Za-z0-9._-]*)*$/,
    'must be file names separated by single spaces',
  )

/**
 * A location's path with an optional modifier (`=`, `^~`, `~`, `~*`). Without one, and after `=` and `^~`, it is a
 * prefix that starts with `/`; after `~` and `~*` it is a regular expression, judged by nginx itself.
 */
export const locationPath = z
  .string()
  .min(1)
  .max(LIMITS.path_chars)
  .refine(value => !UNSAFE.test(value), 'must not contain control, invisible or line-break characters')
  .transform((value, context) => {
    const { modifier, pattern } = splitLocationPath(value)
    if (modifier === '~' || modifier === '~*') {
      const problem = pattern === '' ? 'a regular expression must follow the modifier' : null
      if (problem) context.addIssue(problem)
    } else if (!/^\/[^\s"'\\{};#$]*$/.test(pattern)) {
      context.addIssue('must start with / and be without white space, quotes, backslash and { } ; # $')
    }
    return modifier ? `${modifier} ${pattern}` : pattern
  })

export type LocationModifier = '' | '=' | '^~' | '~' | '~*'

/** `~* \.png$` → `{ modifier: '~*', pattern: '\.png$' }`. */
export function splitLocationPath(path: string): { modifier: LocationModifier; pattern: string } {
  const match = /^(=|\^~|~\*|~) *(.*)$/su.exec(path)
  return { modifier: (match?.[1] ?? '') as LocationModifier, pattern: match?.[2] ?? path }
}
