/** The directives of nginx 1.18 to 1.29, looked up by name. */
import { cgiRows } from './data/cgi.ts'
import { coreRows } from './data/core.ts'
import { httpAccessRows } from './data/http-access.ts'
import { httpContentRows } from './data/http-content.ts'
import { httpCoreRows } from './data/http-core.ts'
import { httpRulesRows } from './data/http-rules.ts'
import { httpTlsRows } from './data/http-tls.ts'
import { proxyRows } from './data/proxy.ts'
import { streamRows } from './data/stream.ts'
import { upstreamRows } from './data/upstream.ts'
import { CONTEXT_LETTERS, type Context, type ModuleRows, type Row, type ValueUnit } from './row.ts'

export interface DirectiveSpec {
  readonly name: string
  readonly module: string
  readonly contexts: readonly Context[]
  readonly arguments_min: number
  /** `Infinity` where nginx sets no bound but its own of 8 words for fixed counts. */
  readonly arguments_max: number
  readonly block: boolean
  /** One for each argument; the last one also for all that follow. */
  readonly units: readonly ValueUnit[]
  /** The words that an enum knows. */
  readonly words: readonly string[]
  readonly since: string | null
  /** First version that no longer knows it. */
  readonly until: string | null
}

const ALL: readonly ModuleRows[] = [
  ...coreRows,
  ...httpCoreRows,
  ...httpAccessRows,
  ...httpContentRows,
  ...httpRulesRows,
  ...httpTlsRows,
  ...upstreamRows,
  ...proxyRows,
  ...cgiRows,
  ...streamRows,
]

function specOf(module: string, [name, contexts, args, value, since, until]: Row): DirectiveSpec {
  const [least, most] = range(args.replace('{', ''))
  const isEnum = value.includes('|')
  return {
    name,
    module,
    contexts: [...contexts].map(letter => CONTEXT_LETTERS[letter as keyof typeof CONTEXT_LETTERS]),
    arguments_min: least,
    arguments_max: most,
    block: args.endsWith('{'),
    units: isEnum ? ['enum'] : (value.split(' ') as ValueUnit[]),
    words: isEnum ? value.split('|') : [],
    since: since || null,
    until: until ?? null,
  }
}

function range(args: string): readonly [number, number] {
  if (args === 'flag') return [1, 1]
  if (args === '*') return [0, Number.POSITIVE_INFINITY]
  const [least = '', most = least] = args.split('-')
  return [Number(least), most === '*' ? Number.POSITIVE_INFINITY : Number(most)]
}

export const DIRECTIVES: readonly DirectiveSpec[] = ALL.flatMap(({ module, rows }) =>
  rows.map(row => specOf(module, row)),
)

const BY_NAME = Map.groupBy(DIRECTIVES, ({ name }) => name)

/** Every meaning of a directive's name: `server` has one in http, upstream, stream and its upstream. */
export const directivesNamed = (name: string): readonly DirectiveSpec[] => BY_NAME.get(name) ?? []

/** What a directive means in a context; undefined where it is unknown or not allowed. */
export const directiveIn = (name: string, context: Context): DirectiveSpec | undefined =>
  directivesNamed(name).find(({ contexts }) => contexts.includes(context))
