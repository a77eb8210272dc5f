import { isIP } from 'node:net'

export interface NamedBy {
  readonly hostname: string
  /** Where the listener is bound. */
  readonly listen_host: string
  readonly public_url: string | null
  readonly server_names: readonly string[]
}

/** Every name and address under which the master may be reached, once each. */
export function serverNames(by: NamedBy): string[] {
  const bound = ['0.0.0.0', '::'].includes(by.listen_host) ? [] : [by.listen_host]
  const url_host = by.public_url ? [new URL(by.public_url).hostname.replace(/^\[(.*)\]$/, '$1')] : []
  const all = ['localhost', '127.0.0.1', '::1', by.hostname, ...bound, ...url_host, ...by.server_names]
  return [...new Set(all.map(one => one.toLowerCase()))].filter(one => one !== '')
}

/** Whether a certificate's names (`DNS:a, IP Address:b` as OpenSSL writes them) are exactly these. */
export function coveredNames(subject_alt_name: string, names: readonly string[]): boolean {
  const present = subject_alt_name.split(', ').map(one => one.slice(one.indexOf(':') + 1))
  const same = (list: readonly string[]) => [...new Set(list.map(canonicalName))].sort().join(' ')
  return same(present) === same(names)
}

/** One spelling of an address: `0:0:0:0:0:0:0:1` and `::1` are the same. */
function canonicalName(name: string): string {
  return isIP(name) === 6 ? new URL(`http://[${name}]`).hostname : name.toLowerCase()
}
