/** What a value may be, by the directive it stands in. Everything that is not opened here is closed. */
import { ValueError } from '../errors.ts'
import type { NginxValue } from './values.ts'

/** nginx has no escape for `$`; http.conf defines this variable, which holds one. */
export const DOLLAR = '$' + '{nx_dollar}'

/** The place of a value: the innermost blocks first-named, and the finished words of the statement, as written. */
export interface Place {
  readonly block: string
  readonly words: readonly string[]
  /** The value starts its argument. */
  readonly first: boolean
}

/** Directives whose arguments nginx reads as text with variables. */
const READS_VARIABLES = new Set(
  `add_header add_trailer proxy_set_header proxy_set_body proxy_method proxy_cookie_domain proxy_cookie_path
  proxy_ssl_name proxy_ssl_server_name proxy_redirect proxy_cache_key proxy_bind return rewrite set root alias index try_files
  access_log error_page sub_filter auth_request_set auth_basic fastcgi_param uwsgi_param scgi_param grpc_set_header
  expires hash limit_rate limit_rate_after if secure_link secure_link_md5 charset map split_clients log_format mirror`
    .split(/\s+/)
    .filter(Boolean),
)

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
  if (CLOSED.test(directive)) throw new ValueError(`the directive ${directive} takes no values`)
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
  const reads = READS_VARIABLES.has(DATA_BLOCKS.has(place.block) ? place.block : directive)
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
