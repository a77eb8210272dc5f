/** What a value may be, by the directive it stands in. Everything that is not opened here is closed. */
import { directivesNamed } from '../directives/table.ts'
import { ValueError } from '../errors.ts'
import type { NginxValue } from './values.ts'

/** nginx has no escape for `$`; http.conf defines this variable, which holds one. */
export const DOLLAR = '$' + '{nx_dollar}'

/** The place of a value: the innermost blocks first-named, and the finished words of the statement, as written. */
export interface Place {
  readonly block: string
  readonly words: readonly string[]
  /** The value starts its argument, or the part behind `http://`, where `unix:` has a meaning too. */
  readonly first: boolean
}

/** Directives that read variables, but do something else where they find one: resolve names, open files per request. */
const DOLLAR_CHANGES =
  /^(?:.*_pass|.*_bind|ssl_certificate.*|.*_ssl_certificate.*|access_log|limit_.*_zone|.*_cache|.*_store|auth_request|auth_basic_user_file)$/

const readsVariables = (directive: string): boolean =>
  !DOLLAR_CHANGES.test(directive) &&
  directivesNamed(directive).some(({ units }) => units.some(unit => unit.endsWith('variables')))

/** Directives in which a `$` has no meaning and may stand as it is. */
const PLAIN_DOLLAR = new Set(['location'])

/** Directives whose arguments are free text, so that a leading `~` or `unix:` means nothing. */
const FREE_TEXT = new Set([
  'add_header',
  'add_trailer',
  'proxy_set_header',
  'grpc_set_header',
  'fastcgi_param',
  'uwsgi_param',
  'scgi_param',
  'set',
  'log_format',
  'sub_filter',
])

/** Directives that reach outside the configuration or change how it is read: no value from outside, ever. */
const CLOSED =
  /^(?:include|load_module|env|user|ssl_engine|perl.*|js_.*|.*_by_lua.*|lua_.*|working_directory|daemon|pid)$/

const DATA_BLOCKS = new Set(['map', 'geo', 'types', 'split_clients', 'charset_map', 'match'])

const MINI_LANGUAGE = /^(?:[~=@^!]|unix:|syslog:|data:|engine:|store:|memory:|stderr\b)/i

const REGEX_OPERATORS = new Set(['~', '~*', '!~', '!~*'])

/**
 * The text that stands for a value at a place, before quoting.
 * @throws ValueError when the value may not stand there
 */
export function textAt(place: Place, value: NginxValue): string {
  const directive = place.words[0] ?? ''
  const known = DATA_BLOCKS.has(place.block) || directivesNamed(directive).length > 0
  if (!known || CLOSED.test(directive)) throw new ValueError(`the directive ${directive} takes no values`)
  if (expectsRegex(place) !== (value.kind === 'regex')) {
    if (value.kind === 'regex') throw new ValueError(`${directive} takes no regular expression here`)
    throw new ValueError('a regular expression is expected here')
  }
  if (value.kind === 'literal') refuseMiniLanguage(directive, place, value.text)
  // Braces keep the name from growing into the text that follows.
  if (value.kind === 'variables')
    return value.text.replace(/\$([A-Za-z0-9_]+)/g, (_, name: string) => `\${${name}}`)
  if (value.kind !== 'literal' || !value.text.includes('$')) return value.text
  if (PLAIN_DOLLAR.has(directive)) return value.text
  const reads = readsVariables(DATA_BLOCKS.has(place.block) ? place.block : directive)
  if (!reads) throw new ValueError(`a "$" cannot stand in ${directive}`)
  return value.text.replaceAll('$', DOLLAR)
}

function expectsRegex({ words }: Place): boolean {
  const directive = words[0] ?? ''
  if (directive === 'rewrite') return words.length === 1
  if (directive === 'location' || directive === 'if') return REGEX_OPERATORS.has(words.at(-1) ?? '')
  return false
}

function refuseMiniLanguage(directive: string, place: Place, text: string): void {
  const index = place.words.length
  if (directive === 'if' && index < 3) throw new ValueError('a value cannot decide what is compared')
  if (!place.first) return
  if (directive === 'location' && !text.startsWith('/')) throw new ValueError('must start with /')
  const free = FREE_TEXT.has(directive) || (directive === 'return' && index > 1)
  if (!free && MINI_LANGUAGE.test(text)) {
    throw new ValueError(`${JSON.stringify(text.slice(0, 20))} would have a special meaning in ${directive}`)
  }
}
