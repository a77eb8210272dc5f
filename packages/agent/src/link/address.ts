import { isIP } from 'node:net'

/** Where the master is, and how to know it. */
export interface MasterAddress {
  /** `https://host[:port]`. */
  readonly master_url: string
  /** The CA that signed the master's certificate; empty: the system's own trust store. */
  readonly ca_pem: string
  /** The name that the certificate must carry. */
  readonly server_name: string
}

export interface TlsTarget {
  readonly host: string
  readonly port: number
}

/** @throws Error when it is no https URL of a host. */
export function targetOf(master_url: string): TlsTarget {
  const url = URL.canParse(master_url) ? new URL(master_url) : null
  if (url?.protocol !== 'https:' || url.username !== '' || url.hostname === '')
    throw new Error(`The master's URL must be https://host[:port], not ${JSON.stringify(master_url)}`)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return { host, port: url.port === '' ? 443 : Number(url.port) }
}

/** Options for a verified TLS 1.3 connection. An address has no place in SNI (RFC 6066 section 3): the host is checked then. */
export function verifiedTls(address: Pick<MasterAddress, 'ca_pem' | 'server_name'>) {
  return {
    minVersion: 'TLSv1.3' as const,
    ...(address.ca_pem === '' ? {} : { ca: address.ca_pem }),
    ...(address.server_name === '' || isIP(address.server_name) ? {} : { servername: address.server_name }),
  }
}
