/** The form in which the directive table is written: one line a directive, close to nginx's own `ngx_command_t`. */

/**
 * `[name, contexts, arguments, value, since, until]`
 * - contexts: letters of `CONTEXT_LETTERS`
 * - arguments: a count (`1`), a range (`1-2`, `1-*`), `*` for any, `flag` for exactly one of on and off; a trailing `{` for a block
 * - value: what the arguments are, see `ValueUnit`; enums list their words (`off|on|always`); two units for two arguments
 * - since: first version that knows it, where that is later than 1.18; until: first version that no longer does
 */
export type Row =
  | readonly [string, string, string, string]
  | readonly [string, string, string, string, string]
  | readonly [string, string, string, string, string, string]

export interface ModuleRows {
  /** Name as configure knows it, e.g. `http_ssl_module`. */
  readonly module: string
  readonly rows: readonly Row[]
}

export const CONTEXT_LETTERS = {
  m: 'main',
  e: 'events',
  h: 'http',
  s: 'server',
  l: 'location',
  i: 'server_if',
  j: 'location_if',
  x: 'limit_except',
  u: 'upstream',
  t: 'stream',
  v: 'stream_server',
  w: 'stream_upstream',
} as const

export type Context = (typeof CONTEXT_LETTERS)[keyof typeof CONTEXT_LETTERS]

/**
 * - `ms`, `s`: time, in parts such as `1m30s`; `ms` also takes milliseconds
 * - `size`: bytes with k, m; `offset`: bytes with k, m, g
 * - `variables`: text in which `$name` is a variable; `text`: anything else
 */
export type ValueUnit =
  | 'flag'
  | 'ms'
  | 's'
  | 'size'
  | 'offset'
  | 'number'
  | 'size_or_variables'
  | 'variables'
  | 'text'
  | 'enum'
