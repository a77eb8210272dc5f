/**
 * Checked values for the fields of the render model. The contract refuses most of what is refused here; rendering does
 * not depend on that, because an agent also renders what a hijacked master sends.
 */
import { RenderError, TemplateError, ValueError } from '../errors.ts'
import type { ResourceRef } from '../objects.ts'
import { DOLLAR } from '../template/policy.ts'
import {
  keyword,
  literal,
  type NginxValue,
  type NginxWords,
  refuseUnsafe,
  regex,
  words,
} from '../template/values.ts'
import { WRITER_LIMITS } from '../template/writer.ts'

/** Runs a step of rendering and reports its refusal as one of this field. */
export function field<T>(resource: ResourceRef, name: string | null, step: () => T): T {
  try {
    return step()
  } catch (error) {
    if (error instanceof ValueError || error instanceof TemplateError) {
      throw new RenderError(resource, name, error.message)
    }
    throw error
  }
}

const ID = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/
const UPSTREAM_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const HOST =
  /^(?:\*\.)?(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/
const HOST_MAX_CHARS = 253
const ADDRESS =
  /^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?):([1-9]\d{0,4})$/
const HEADER_NAME = /^[A-Za-z0-9!#%&*+.^_`|~-]{1,128}$/
const FRAMING_HEADER =
  /^(?:connection|content-length|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i
const INDEX_FILES = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?: +[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/
const BIND_ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/

function matching(text: string, pattern: RegExp, rule: string): string {
  // First, so that no message repeats what a terminal would act on.
  refuseUnsafe(text)
  if (!pattern.test(text)) throw new ValueError(rule)
  return text
}

/** An identifier that goes into file names and comments. */
export const idText = (id: string): string => matching(id, ID, 'must be letters, digits and hyphens')

export const versionText = (version: number): string => {
  if (!Number.isSafeInteger(version) || version < 0) throw new ValueError('must be a whole number')
  return String(version)
}

export const upstreamName = (name: string): string =>
  matching(name, UPSTREAM_NAME, 'must be letters, digits, ".", "_" and "-"')

export function hostName(name: string): NginxValue {
  if (name.length > HOST_MAX_CHARS)
    throw new ValueError(`a host name has at most ${HOST_MAX_CHARS} characters`)
  return literal(matching(name, HOST, `Invalid domain format: ${JSON.stringify(name.slice(0, 80))}`))
}

/** `host:port`, `IPv4:port` or `[IPv6]:port`. */
export function serverAddress(address: string): NginxValue {
  const port = Number(ADDRESS.exec(address)?.[1])
  if (!(port <= 65_535)) throw new ValueError('must be host:port, IPv4:port or [IPv6]:port')
  return literal(address)
}

export function portNumber(port: number): number {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new ValueError('must be a port from 1 to 65535')
  return port
}

/** What `listen` takes: the port alone (all IPv4 addresses), or with the one address that sites of this host bind to. */
export function listenText(address: string | null, port: number): string {
  const checked = portNumber(port)
  if (address === null) return String(checked)
  matching(address, BIND_ADDRESS, 'must be an IPv4 or IPv6 address')
  return address.includes(':') ? `[${address}]:${checked}` : `${address}:${checked}`
}

/** Of a response. What frames it is nginx's: a second length would make two readers see different responses. */
export function headerName(name: string): NginxValue {
  const checked = matching(name, HEADER_NAME, 'must be an HTTP field name')
  if (FRAMING_HEADER.test(checked)) throw new ValueError('is a field that the server sets by itself')
  return literal(checked)
}

/** Text that has to fit into one argument once it is encoded. */
export function argumentText(text: string): NginxValue {
  const value = literal(text)
  const encoded = text.replaceAll('$', DOLLAR).replace(/[\\"]/g, '\\$&')
  if (new TextEncoder().encode(encoded).length + 2 > WRITER_LIMITS.argument_max_bytes) {
    throw new ValueError(
      `is too long: nginx takes at most ${WRITER_LIMITS.argument_max_bytes} bytes, encoded`,
    )
  }
  return value
}

export function rootFolder(path: string): NginxValue {
  if (!path.startsWith('/')) throw new ValueError('must be an absolute path')
  if (/(?:^|\/)\.{1,2}(?:\/|$)/.test(path)) throw new ValueError('must not contain . or .. as a part')
  return argumentText(path)
}

export function indexFiles(text: string): NginxWords {
  matching(text, INDEX_FILES, 'must be file names separated by spaces')
  return words(text.split(/ +/).map(argumentText))
}

export type LocationModifier = '' | '=' | '^~' | '~' | '~*'
const MODIFIERS: readonly LocationModifier[] = ['=', '^~', '~', '~*']

/** `~* \.png$` → `{ modifier: '~*', pattern: '\.png$' }`. */
export function splitLocationPath(path: string): { modifier: LocationModifier; pattern: string } {
  const match = /^(=|\^~|~\*|~) *([\s\S]*)$/u.exec(path)
  return { modifier: (match?.[1] ?? '') as LocationModifier, pattern: match?.[2] ?? path }
}

/** The arguments of `location`. */
export function locationWords(path: string): NginxWords {
  const { modifier, pattern } = splitLocationPath(path)
  if (modifier === '~' || modifier === '~*') return words([keyword(modifier, MODIFIERS), regexPath(pattern)])
  if (!pattern.startsWith('/')) throw new ValueError('must start with /')
  const value = argumentText(pattern)
  return modifier === '' ? words([value]) : words([keyword(modifier, MODIFIERS), value])
}

function regexPath(pattern: string): NginxValue {
  argumentText(pattern)
  return regex(pattern)
}
