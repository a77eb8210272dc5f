/** What a carried-over configuration already decides, read from nginx.conf and the files that it includes. */
import { type Directive, parseConfig } from './parser.ts'

export interface CarriedText {
  /** `main` for nginx.conf and for files included at its top, `http` for files included inside `http`, `other` for the rest. */
  readonly context: 'main' | 'http' | 'other'
  readonly text: string
}

export interface CarriedFacts {
  /**
   * `address:port` (`*:80`, `[::]:80`, `127.0.0.1:8080`) that has a default server already: one that says so, or
   * the first server there, which nginx takes for it.
   */
  readonly default_servers: readonly string[]
  /** Of those, the ones that say `default_server`. */
  readonly explicit_default_servers: readonly string[]
  readonly http_directives: readonly string[]
  readonly upstream_names: readonly string[]
  readonly server_names: readonly string[]
}

/** @throws NginxSyntaxError when a text is no configuration */
export function carriedFacts(texts: readonly CarriedText[]): CarriedFacts {
  const http = texts.flatMap(({ context, text }) => {
    const { directives } = parseConfig(text)
    if (context === 'http') return directives
    return context === 'main' ? inside(directives, 'http') : []
  })
  const servers = http.filter(({ name }) => name === 'server').map(({ block }) => block?.directives ?? [])
  const listens = servers.flatMap(listensOf)
  const names = servers.flat().filter(({ name }) => name === 'server_name')
  return {
    default_servers: sorted(listens.map(({ address }) => address)),
    explicit_default_servers: sorted(
      listens.filter(({ explicit }) => explicit).map(({ address }) => address),
    ),
    http_directives: sorted(http.map(({ name }) => name)),
    upstream_names: sorted(
      http.filter(({ name }) => name === 'upstream').map(({ args }) => args[0]?.value ?? ''),
    ),
    server_names: sorted(names.flatMap(({ args }) => args.map(({ value }) => value))),
  }
}

const inside = (directives: readonly Directive[], block: string): Directive[] =>
  directives
    .filter(({ name }) => name === block)
    .flatMap(directive => [...(directive.block?.directives ?? [])])

const sorted = (values: readonly string[]): string[] => [...new Set(values)].sort()

function listensOf(server: readonly Directive[]): { address: string; explicit: boolean }[] {
  const listens = server.filter(({ name }) => name === 'listen')
  // A server without `listen` listens on port 80 (ngx_http_core_module).
  if (listens.length === 0) return [{ address: '*:80', explicit: false }]
  return listens.map(({ args }) => ({
    address: normalizeListen(args[0]?.value ?? ''),
    explicit: args.slice(1).some(({ value }) => value === 'default_server' || value === 'default'),
  }))
}

/** The forms of `listen`'s first argument to one: `80` → `*:80`, `127.0.0.1` → `127.0.0.1:80`, `0.0.0.0:80` → `*:80`. */
export function normalizeListen(value: string): string {
  if (value.startsWith('unix:')) return value
  if (/^\d+$/.test(value)) return `*:${value}`
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(value)
  const host = match?.[1] === '0.0.0.0' ? '*' : (match?.[1] ?? value)
  return `${host.toLowerCase()}:${match?.[2] ?? '80'}`
}
