/** Judges a parsed configuration by the directive table: what nginx would refuse, with the line, before nginx sees it. */
import type { Directive } from '../parser.ts'
import { versionAtLeast } from '../render/version.ts'
import type { Context, ValueUnit } from './row.ts'
import { type DirectiveSpec, directiveIn, directivesNamed } from './table.ts'

export interface Diagnostic {
  readonly line: number
  readonly column: number
  readonly directive: string
  /** `error`: nginx refuses it; `warning`: it depends on what the table cannot know. */
  readonly severity: 'error' | 'warning'
  readonly message: string
}

export interface LintOptions {
  /** Where the text stands: `main` for nginx.conf (default), `http` for a file included there. */
  readonly context?: Context
  /** e.g. `1.22.1`; without it no version is assumed. */
  readonly nginx_version?: string
  /** Names of optional modules that are there (`http_ssl_module`); without it all are assumed. */
  readonly modules?: readonly string[]
}

const DATA_BLOCKS = new Set(['types', 'map', 'geo', 'split_clients', 'charset_map'])

/** Modules that configure cannot leave out, or leaves out only together with all of http or stream. */
const ALWAYS = new Set([
  'core',
  'events',
  'http_core_module',
  'http_log_module',
  'http_index_module',
  'http_headers_module',
  'http_upstream_module',
])

/** Everything that nginx would refuse, in the order of the text. Data blocks (`map`, `types`, …) are not looked into. */
export function lint(directives: readonly Directive[], options: LintOptions = {}): Diagnostic[] {
  return directives.flatMap(directive => lintDirective(directive, options.context ?? 'main', options))
}

function lintDirective(directive: Directive, context: Context | null, options: LintOptions): Diagnostic[] {
  if (context === null) return []
  const { name, block } = directive
  const problem = checkDirective(directive, context, options)
  const own = problem ? [diagnostic(directive, 'error', problem)] : checkValues(directive, context)
  if (block === null) return own
  const inner = innerContext(name, context)
  return [...own, ...block.directives.flatMap(child => lintDirective(child, inner, options))]
}

/**
 * Whether nginx takes a directive here, its values aside.
 * @returns nginx's complaint, or null
 */
export function checkDirective(
  directive: Directive,
  context: Context,
  options: LintOptions = {},
): string | null {
  const { name, args, block } = directive
  const available = directivesNamed(name).filter(spec => isAvailable(spec, options))
  if (available.length === 0) return unavailable(name, options)
  const spec = directiveIn(name, context)
  if (!spec || !available.includes(spec)) return `"${name}" directive is not allowed here`
  if (args.length < spec.arguments_min || args.length > spec.arguments_max) {
    return `invalid number of arguments in "${name}" directive`
  }
  if (spec.block && !block) return `directive "${name}" has no opening "{"`
  if (!spec.block && block) return `directive "${name}" is not terminated by ";"`
  return null
}

export function isAvailable(
  { module, since, until }: DirectiveSpec,
  { nginx_version, modules }: LintOptions,
): boolean {
  if (nginx_version !== undefined) {
    if (since !== null && !versionAtLeast(nginx_version, since)) return false
    if (until !== null && versionAtLeast(nginx_version, until)) return false
  }
  return (
    modules === undefined || ALWAYS.has(module) || modules.includes(module) || isPartOfStream(module, modules)
  )
}

/** Most of stream's modules come with stream itself. */
function isPartOfStream(module: string, modules: readonly string[]): boolean {
  const optional = ['stream_ssl_module', 'stream_realip_module', 'stream_ssl_preread_module']
  return module.startsWith('stream') && !optional.includes(module) && modules.includes('stream')
}

function unavailable(name: string, { nginx_version, modules }: LintOptions): string {
  const specs = directivesNamed(name)
  const [spec] = specs
  if (!spec) return `unknown directive "${name}"`
  if (
    specs.some(({ module }) => modules === undefined || modules.includes(module)) ||
    modules === undefined
  ) {
    if (spec.since && !versionAtLeast(nginx_version ?? '', spec.since)) {
      return `"${name}" needs nginx ${spec.since}, this one is ${nginx_version}`
    }
    if (spec.until && versionAtLeast(nginx_version ?? '', spec.until))
      return `"${name}" is gone since nginx ${spec.until}`
  }
  return `"${name}" needs nginx with ${spec.module}, which this one lacks`
}

/** The context inside a block; null where the block holds data instead of directives. */
function innerContext(name: string, context: Context): Context | null {
  if (DATA_BLOCKS.has(name)) return null
  switch (name) {
    case 'events':
    case 'http':
    case 'stream':
    case 'location':
    case 'limit_except':
      return name
    case 'server':
      return context === 'stream' ? 'stream_server' : 'server'
    case 'upstream':
      return context === 'stream' ? 'stream_upstream' : 'upstream'
    case 'if':
      return context === 'server' ? 'server_if' : 'location_if'
    default:
      return null
  }
}

const PATTERNS: Partial<Record<ValueUnit, { pattern: RegExp; problem: string }>> = {
  flag: { pattern: /^(?:on|off)$/i, problem: 'it must be "on" or "off"' },
  number: { pattern: /^\d+$/, problem: 'invalid number' },
  size: { pattern: /^\d+[kKmM]?$/, problem: 'invalid size: digits with k or m' },
  offset: { pattern: /^\d+[kKmMgG]?$/, problem: 'invalid size: digits with k, m or g' },
  ms: { pattern: /^(?:\d+(?:ms|[yMwdhms])? ?)+$/, problem: 'invalid time, e.g. 500ms or 1m30s' },
  s: { pattern: /^(?:\d+[yMwdhms]? ?)+$/, problem: 'invalid time in whole seconds, e.g. 1m30s' },
}

function checkValues(directive: Directive, context: Context): Diagnostic[] {
  const spec = directiveIn(directive.name, context)
  if (!spec) return []
  return directive.args.flatMap(({ value }, index) => {
    const unit = spec.units[Math.min(index, spec.units.length - 1)] ?? 'text'
    if (unit === 'enum' && !spec.words.some(word => word.toLowerCase() === value.toLowerCase())) {
      return [diagnostic(directive, 'warning', `"${value}" is none of ${spec.words.join(', ')}`)]
    }
    const rule = PATTERNS[unit]
    if (!rule || rule.pattern.test(value)) return []
    return [
      diagnostic(directive, 'error', `invalid value "${value}" in "${spec.name}" directive: ${rule.problem}`),
    ]
  })
}

function diagnostic(
  { name, span }: Directive,
  severity: Diagnostic['severity'],
  message: string,
): Diagnostic {
  return { line: span.line, column: span.column, directive: name, severity, message }
}
