/**
 * The agent's own judgement of a rendered text: which directives and paths it may hold, whatever the master says.
 * Looks at the text alone: a symlink below an allowed folder is for the caller to resolve.
 */
import type { Diagnostic } from '../directives/lint.ts'
import { DIRECTIVES } from '../directives/table.ts'
import { type Directive, walk } from '../parser.ts'
import { DOLLAR } from '../template/policy.ts'

/** All folders are absolute; of several that hold a path, the longest decides. */
export interface LocalPolicy {
  /** The deployment folder: the only place of includes and of files that directives read. */
  readonly deployment_folder: string
  /** Where `root` and `alias` may point. */
  readonly content_folders: readonly string[]
  /** Where they may not, nor to anything above. */
  readonly barred_folders: readonly string[]
  readonly log_folders: readonly string[]
  /** Sockets that may be proxied to or listened on. */
  readonly unix_sockets: readonly string[]
}

const BARRED = [
  '/boot',
  '/dev',
  '/etc',
  '/proc',
  '/root',
  '/run',
  '/sys',
  '/var/run',
  '/var/lib',
  '/var/log',
  '/var/spool',
]

/**
 * The policy of an agent that was told nothing else. `/home` is not in it: a folder of a person holds keys beside pages, so
 * whoever serves from there names the folder in the agent's own configuration.
 * @param state_folders further folders that hold secrets: the agent's state, all deployments
 */
export function defaultPolicy(deployment_folder: string, state_folders: readonly string[] = []): LocalPolicy {
  return {
    deployment_folder,
    content_folders: ['/data', '/mnt', '/opt', '/srv', '/usr/share/nginx', '/var/www'],
    barred_folders: [...BARRED, deployment_folder, ...state_folders],
    log_folders: ['/var/log/nginx'],
    unix_sockets: [],
  }
}

// What the http side may do, but no rendered text needs: write files, run code, open arbitrary files, change the process.
const REFUSED =
  /^(?:include|load_module|env|user|ssl_engine|perl.*|js_.*|lua_.*|.*_by_lua.*|.*_temp_path|.*_cache_path|.*_store|.*_store_access|dav_.*|create_full_put_path|open_log_file_cache|xslt_.*|image_filter.*|thread_pool|aio)$/

const READS_FILE =
  /^(?:ssl_certificate|ssl_certificate_key|ssl_client_certificate|ssl_trusted_certificate|ssl_crl|ssl_dhparam|ssl_password_file|ssl_session_ticket_key|ssl_stapling_file|auth_basic_user_file|quic_host_key|[a-z]+_ssl_(?:certificate|certificate_key|trusted_certificate|crl|password_file))$/

const HTTP_SIDE = new Set([
  'http',
  'server',
  'location',
  'server_if',
  'location_if',
  'limit_except',
  'upstream',
])

/** Names of the directive table, so that a directive nobody knows is refused. */
const ALLOWED: ReadonlySet<string> = new Set(
  DIRECTIVES.filter(({ contexts }) => contexts.some(context => HTTP_SIDE.has(context)))
    .map(({ name }) => name)
    .filter(name => !REFUSED.test(name)),
)

const DATA_BLOCKS = new Set(['types', 'map', 'geo', 'split_clients', 'charset_map'])

/** Everything in the text that the policy does not allow; an empty list means that it may be used. */
export function checkAllowed(directives: readonly Directive[], policy: LocalPolicy): Diagnostic[] {
  const found: Diagnostic[] = []
  walk(directives, (directive, blocks) => {
    if (DATA_BLOCKS.has(blocks.at(-1)?.name ?? '') && directive.name !== 'include') return
    const message = problemOf(directive, policy)
    const { name, span } = directive
    if (message)
      found.push({ line: span.line, column: span.column, directive: name, severity: 'error', message })
  })
  return found
}

function problemOf(directive: Directive, policy: LocalPolicy): string | null {
  const { name, args } = directive
  const [first = ''] = args.map(({ value }) => value)
  if (name === 'include') return isBelow(first, policy.deployment_folder) ? null : `may not include ${first}`
  if (!ALLOWED.has(name)) return `the directive ${name} is not allowed on this host`
  if (name === 'root' || name === 'alias') return contentProblem(first, policy)
  if (name === 'access_log' || name === 'error_log') return logProblem(name, first, policy)
  if (READS_FILE.test(name) && !isBelow(first, policy.deployment_folder)) return `may not read ${first}`
  return socketProblem(
    args.map(({ value }) => value),
    policy,
  )
}

/** Absolute, without variables, without parts that lead elsewhere. */
const isPlainPath = (path: string): boolean =>
  path.startsWith('/') && !path.replaceAll(DOLLAR, '').includes('$') && !/(?:^|\/)\.{1,2}(?:\/|$)/.test(path)

function isBelow(path: string, folder: string): boolean {
  return isPlainPath(path) && holds(folder, path.replace(/\/{2,}/g, '/'))
}

const holds = (folder: string, path: string): boolean =>
  path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`)

function contentProblem(path: string, policy: LocalPolicy): string | null {
  if (!isPlainPath(path)) return 'must be an absolute path without variables, . and ..'
  const clean = path.replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1')
  const longest = (folders: readonly string[]): number =>
    Math.max(-1, ...folders.filter(folder => holds(folder, clean)).map(folder => folder.length))
  if (longest(policy.content_folders) <= longest(policy.barred_folders))
    return `may not serve files from ${path}`
  if (policy.barred_folders.some(folder => holds(clean, folder))) return `may not serve files from ${path}`
  const below = clean.slice(longest(policy.content_folders))
  return HIDDEN.test(below) ? `may not serve the hidden folder in ${path}` : null
}

/** A part that begins with a dot: `.git`, `.ssh`; all but what RFC 8615 made public. */
const HIDDEN = /\/\.(?!well-known(?:\/|$))/

function logProblem(name: string, path: string, { log_folders }: LocalPolicy): string | null {
  if (name === 'access_log' && path === 'off') return null
  return log_folders.some(folder => isBelow(path, folder)) ? null : `may not log to ${path}`
}

function socketProblem(values: readonly string[], { unix_sockets }: LocalPolicy): string | null {
  for (const value of values) {
    const path = /^(?:[a-z]+:\/\/)?unix:([^:]*)/i.exec(value)?.[1]
    if (path !== undefined && !unix_sockets.includes(path)) return `may not use the socket ${path}`
  }
  return null
}
