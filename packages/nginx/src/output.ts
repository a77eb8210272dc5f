/** Readers for what the nginx executable prints. */

export type NginxLevel = 'debug' | 'info' | 'notice' | 'warn' | 'error' | 'crit' | 'alert' | 'emerg'

/** A complaint of `nginx -t` or of the start; file and line only where nginx names them. */
export interface NginxMessage {
  readonly level: NginxLevel
  readonly message: string
  readonly file: string | null
  readonly line: number | null
}

const OUTPUT_MAX_CHARS = 1_048_576
const MESSAGES_MAX = 1_000
// `nginx: [emerg] text in /file:12`, and the error log's `2026/01/02 03:04:05 [emerg] 12#12: *3 text in /file:12`.
const MESSAGE =
  /^(?:nginx: |\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d )\[(debug|info|notice|warn|error|crit|alert|emerg)\] (?:\d+#\d+: )?(?:\*\d+ )?(.*)$/
const PLACE = /^(.*) in (\/.*):(\d+)$/

/**
 * Every complaint in the output of `nginx -t`, in its order. Lines of another form (`syntax is ok`) are left out;
 * a message that nginx broke over several lines is put together again.
 */
export function parseNginxErrors(output: string): NginxMessage[] {
  const found: { level: NginxLevel; text: string }[] = []
  for (const line of output.slice(0, OUTPUT_MAX_CHARS).split(/\r?\n/)) {
    const match = MESSAGE.exec(line)
    const last = found.at(-1)
    if (match) found.push({ level: match[1] as NginxLevel, text: match[2] ?? '' })
    else if (last && line !== '' && !line.startsWith('nginx: ')) last.text += `\n${line}`
    if (found.length >= MESSAGES_MAX) break
  }
  return found.map(({ level, text }) => {
    const place = PLACE.exec(text.replaceAll('\n', ' '))
    if (!place) return { level, message: text, file: null, line: null }
    return { level, message: place[1] ?? text, file: place[2] ?? null, line: Number(place[3]) }
  })
}

/** What one nginx executable is. */
export interface NginxBuild {
  /** e.g. `1.22.1`. */
  readonly version: string
  /** Built in, or built as dynamic modules, in the form of configure's names (`http_ssl_module`), sorted. */
  readonly modules: readonly string[]
  /** Those of `modules` that work only once `load_module` has loaded them. */
  readonly dynamic_modules: readonly string[]
  /** configure's arguments, unquoted. */
  readonly arguments: readonly string[]
  readonly prefix: string
  readonly conf_path: string
  readonly pid_path: string
  /** Absolute, or `stderr`. */
  readonly error_log_path: string
  readonly modules_path: string
  /** The user of worker processes where nginx.conf names none. */
  readonly user: string
}

/** Modules that a build has unless configure was told otherwise (auto/options of nginx's source). */
const DEFAULT_MODULES =
  `http_access_module http_auth_basic_module http_autoindex_module http_browser_module http_charset_module
  http_empty_gif_module http_fastcgi_module http_geo_module http_grpc_module http_gzip_module http_limit_conn_module
  http_limit_req_module http_map_module http_memcached_module http_mirror_module http_proxy_module http_referer_module
  http_rewrite_module http_scgi_module http_split_clients_module http_ssi_module http_upstream_hash_module
  http_upstream_ip_hash_module http_upstream_keepalive_module http_upstream_least_conn_module
  http_upstream_random_module http_upstream_zone_module http_userid_module http_uwsgi_module`.split(/\s+/)

/**
 * Reads `nginx -V`.
 * @returns null when the output is not nginx's
 */
export function parseNginxV(output: string): NginxBuild | null {
  const version = /nginx version: [^/\s]+\/(\d+\.\d+\.\d+)/.exec(output)?.[1]
  if (version === undefined) return null
  const args = splitArguments(/^configure arguments:(.*)$/m.exec(output)?.[1] ?? '')
  const option = (name: string): string | null =>
    args.findLast(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? null
  const prefix = option('prefix') ?? '/usr/local/nginx'
  const below = (path: string): string => (path.startsWith('/') ? path : `${prefix}/${path}`)
  const errorLog = option('error-log-path') ?? 'logs/error.log'
  const modules = new Set(DEFAULT_MODULES)
  const dynamic = new Set<string>()
  for (const arg of args) {
    const match =
      /^--(with|without)-((?:http|stream|mail)(?:_\w+)?_module|stream|mail|threads)(=dynamic)?$/.exec(arg)
    const name = match?.[2]
    if (name === undefined) continue
    if (match?.[1] === 'without') modules.delete(name)
    else modules.add(name)
    if (match?.[3] !== undefined) dynamic.add(name)
  }
  return {
    version,
    modules: [...modules].sort(),
    dynamic_modules: [...dynamic].sort(),
    arguments: args,
    prefix,
    conf_path: below(option('conf-path') ?? 'conf/nginx.conf'),
    pid_path: below(option('pid-path') ?? 'logs/nginx.pid'),
    error_log_path: errorLog === 'stderr' ? errorLog : below(errorLog),
    modules_path: below(option('modules-path') ?? 'modules'),
    user: option('user') ?? 'nobody',
  }
}

/** Splits at spaces outside of quotes, as configure's arguments are printed. */
function splitArguments(text: string): string[] {
  const matches = text.matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g)
  return [...matches].map(([argument]) => argument.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'))
}
