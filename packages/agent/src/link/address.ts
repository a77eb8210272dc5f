import { createHash, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'

/** Where the master is, and how to know it. */
export interface MasterAddress {
  /** `https://host[:port]`. */
  readonly master_url: string
  /** The CA that signed the master's certificate; empty: the system's own trust store. */
  readonly ca_pem: string
  /** The name that the certificate must carry. */
  readonly server_name: string
  /** Beside that: the key in the certificate must be one of these, `sha256/<base64>`. Absent or empty: any. */
  readonly server_key_pins?: readonly string[]
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

/** `sha256/` and the base64 of SHA-256 over the SubjectPublicKeyInfo (RFC 7469 section 2.4). */
const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/
export const isKeyPin = (text: string): boolean => PIN.test(text)

function keyPinOf(certificate_der: Uint8Array): string {
  const spki = new X509Certificate(certificate_der).publicKey.export({ type: 'spki', format: 'der' })
  return `sha256/${createHash('sha256').update(spki).digest('base64')}`
}

/**
 * Runs after the chain was verified and before anything is sent. It must return what is wrong: where it throws, Bun's
 * `node:https` sends the request all the same.
 */
function pinned(pins: readonly string[]) {
  return (host: string, certificate: PeerCertificate): Error | undefined => {
    try {
      const wrong_name = checkServerIdentity(host, certificate)
      if (wrong_name) return wrong_name
      const pin = keyPinOf(certificate.raw)
      if (pins.includes(pin)) return undefined
      return new Error(
        `the key of the master is ${pin}, which server_key_pin does not name. Nothing was sent. Is this the right master, or was its key changed?`,
      )
    } catch (cause) {
      return new Error('the key of the master could not be read from its certificate', { cause })
    }
  }
}

/** Options for a verified TLS 1.3 connection. An address has no place in SNI (RFC 6066 section 3): the host is checked then. */
export function verifiedTls(address: Pick<MasterAddress, 'ca_pem' | 'server_name' | 'server_key_pins'>) {
  const pins = address.server_key_pins ?? []
  return {
    ...(pins.length === 0 ? {} : { checkServerIdentity: pinned(pins) }),
    minVersion: 'TLSv1.3' as const,
    ...(address.ca_pem === '' ? {} : { ca: address.ca_pem }),
    ...(address.server_name === '' || isIP(address.server_name) ? {} : { servername: address.server_name }),
  }
}
