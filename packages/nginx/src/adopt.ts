/**
 * Taking over an existing nginx.conf: lossless edits that leave everything where it was, so that every site that was
 * served before is served after. Pure: texts in, texts and facts out.
 */
import { ValueError } from './errors.ts'
import { type Directive, parseConfig, type Span } from './parser.ts'

export interface AdoptOptions {
  /** Absolute path of the main error log, whose notices tell whether a reload worked. */
  readonly error_log_path: string
  /** Absolute path of the folder with the deployments; `<conf_d_path>/current/*.conf` becomes the last thing in `http`. */
  readonly conf_d_path: string
  /** Main-context directives to set, e.g. `{ worker_shutdown_timeout: ['60s'] }`. */
  readonly main?: Readonly<Record<string, readonly string[]>>
}

export interface AdoptedInclude {
  /** As written; relative ones are relative to the folder of nginx.conf. */
  readonly pattern: string
  readonly context: 'main' | 'http' | 'other'
}

export interface Adoption {
  readonly text: string
  readonly changed: boolean
  /** What nginx.conf includes besides NxMesh's own entry; the caller reads these files for `carriedFacts`. */
  readonly includes: readonly AdoptedInclude[]
  /** Values of removed http-level directives, floors for what NxMesh computes. `null` where there was none. */
  readonly floors: {
    readonly server_names_hash_max_size: number | null
    readonly server_names_hash_bucket_size: number | null
  }
}

export const ADOPTION_BANNER =
  '# Owned by NxMesh since it took over this file: edits here are kept, main-context settings and the includes are checked at each apply.'

const REMOVED = ['server_names_hash_max_size', 'server_names_hash_bucket_size'] as const
const PATH = /^\/[A-Za-z0-9 ._/@+,=~-]+$/

/** The include pattern that finds the current deployment's entry file. */
export const currentInclude = (conf_d_path: string): string => `${conf_d_path}/current/*.conf`

/**
 * Adopts a configuration. Adopting an adopted one changes nothing.
 * @throws NginxSyntaxError when the text is no configuration
 * @throws ValueError for paths that could not be written safely
 */
export function adopt(text: string, options: AdoptOptions): Adoption {
  for (const path of [options.error_log_path, options.conf_d_path]) {
    if (!PATH.test(path)) throw new ValueError(`cannot be written into nginx.conf: ${JSON.stringify(path)}`)
  }
  const floors = floorsOf(text)
  let result = setMain(text, 'error_log', [options.error_log_path, 'notice'])
  for (const [name, args] of Object.entries(options.main ?? {})) result = setMain(result, name, args)
  for (const name of REMOVED) result = removeFromHttp(result, name)
  result = ensureBlock(result, 'events')
  result = ensureBlock(result, 'http')
  result = ensureInclude(result, currentInclude(options.conf_d_path))
  if (!result.includes(ADOPTION_BANNER)) result = `${ADOPTION_BANNER}\n${result}`
  return { text: result, changed: result !== text, includes: includesOf(result, options.conf_d_path), floors }
}

/**
 * The test file: the same text with one include changed.
 * @throws ValueError unless `from` is included exactly once
 */
export function swapInclude(text: string, from: string, to: string): string {
  const found = httpBlocks(text)
    .flatMap(block => block.block?.directives ?? [])
    .filter(({ name, args }) => name === 'include' && args[0]?.value === from)
  const [include] = found
  const span = include?.args[0]?.span
  if (found.length !== 1 || span === undefined)
    throw new ValueError(`nginx.conf includes ${from} ${found.length} times instead of once`)
  if (!PATH.test(to.replaceAll('*', ''))) throw new ValueError(`cannot be included: ${JSON.stringify(to)}`)
  return replace(text, span, quoted(to))
}

const topLevel = (text: string): readonly Directive[] => parseConfig(text).directives
const httpBlocks = (text: string): Directive[] =>
  topLevel(text).filter(({ name, block }) => name === 'http' && block !== null)
const httpDirectives = (text: string): Directive[] =>
  httpBlocks(text).flatMap(({ block }) => block?.directives ?? [])

const replace = (text: string, { start, end }: { start: number; end: number }, by: string): string =>
  text.slice(0, start) + by + text.slice(end)

const quoted = (value: string): string =>
  /^[A-Za-z0-9_./:@+,=*-]+$/.test(value) ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`

/** Sets a main-level directive: the first one gets the value, a missing one is put at the top. Further error logs stay. */
function setMain(text: string, name: string, args: readonly string[]): string {
  const wanted = `${name} ${args.map(quoted).join(' ')};`
  const found = topLevel(text).filter(directive => directive.name === name)
  const isIt = ({ args: has }: Directive): boolean =>
    has.length === args.length && has.every(({ value }, i) => value === args[i])
  if (found.some(isIt)) return text
  return found[0] ? replace(text, found[0].span, wanted) : `${wanted}\n${text}`
}

function removeFromHttp(text: string, name: string): string {
  let result = text
  for (const { span } of httpDirectives(text)
    .filter(directive => directive.name === name)
    .reverse()) {
    result = removeLine(result, span)
  }
  return result
}

/** Removes a directive, with its line where it stood alone there. */
function removeLine(text: string, span: Span): string {
  const before = /[ \t]*$/.exec(text.slice(0, span.start))?.[0].length ?? 0
  const after = /^[ \t]*(?:\r?\n|$)/.exec(text.slice(span.end))?.[0].length ?? 0
  const start = span.start - before
  const alone = after > 0 && (start === 0 || text[start - 1] === '\n')
  return replace(text, alone ? { start, end: span.end + after } : span, '')
}

function ensureBlock(text: string, name: string): string {
  if (topLevel(text).some(directive => directive.name === name)) return text
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}\n${name} {\n}\n`
}

/** Puts the include last in the last `http` block, and takes it away from where it stood before. */
function ensureInclude(text: string, pattern: string): string {
  // A relative pattern may mean the same files; included twice, every site would be there twice.
  const means = (value: string): boolean => value === pattern || pattern.endsWith(`/${value}`)
  const isIt = ({ name, args }: Directive): boolean => name === 'include' && means(args[0]?.value ?? '')
  const all = httpDirectives(text)
  const found = all.filter(isIt)
  const [only] = found
  if (found.length === 1 && only === all.at(-1) && only?.args[0]?.value === pattern) return text
  let result = text
  for (const { span } of found.reverse()) result = removeLine(result, span)
  const end = httpBlocks(result).at(-1)?.block?.span.end ?? result.length
  const indent = /\n([ \t]+)\S[^\n]*\n[ \t]*$/.exec(result.slice(0, end))?.[1] ?? '\t'
  const gap = /\n[ \t]*$/.exec(result.slice(0, end))
  const at = gap ? end - gap[0].length + 1 : end
  return replace(result, { start: at, end: at }, `${gap ? '' : '\n'}${indent}include ${quoted(pattern)};\n`)
}

function floorsOf(text: string): Adoption['floors'] {
  const directives = httpDirectives(text)
  const value = (name: string): number | null => {
    const number = Number(directives.find(directive => directive.name === name)?.args[0]?.value)
    return Number.isSafeInteger(number) ? number : null
  }
  return {
    server_names_hash_max_size: value('server_names_hash_max_size'),
    server_names_hash_bucket_size: value('server_names_hash_bucket_size'),
  }
}

function includesOf(text: string, conf_d_path: string): AdoptedInclude[] {
  const own = currentInclude(conf_d_path)
  const of = (directives: readonly Directive[], context: AdoptedInclude['context']): AdoptedInclude[] =>
    directives.flatMap(({ name, args, block }) => {
      if (block) return of(block.directives, name === 'http' && context === 'main' ? 'http' : 'other')
      const pattern = args[0]?.value
      return name === 'include' && pattern !== undefined && pattern !== own ? [{ pattern, context }] : []
    })
  return of(topLevel(text), 'main')
}
