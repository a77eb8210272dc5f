import { addressText, contains, type IpAddress, type Network, parseAddress } from '@nxmesh/contract/addresses'
import { networksOf } from '../addresses.ts'

/** What the setting `outgoing.allow` opens, and what is refused without it. Pure. */

export interface Allowed {
  /** Whether a range holds the address. */
  covers(address: IpAddress): boolean
  /** Whether a range is this one address and nothing else. */
  names(address: IpAddress): boolean
}

export interface Judgement {
  /** The one spelling of the address; an IPv4 address in an IPv6 wrapping is the IPv4 address. */
  readonly address: string
  /** What kind of address it is, for a person; null: it may be connected to. */
  readonly refused: string | null
}

/** IANA's special-purpose registries (RFC 6890 and its updates): what is not somebody's public server. */
const REFUSED: readonly (readonly [kind: string, ...ranges: string[]])[] = [
  ['an unspecified address', '0.0.0.0/8', '::/128'],
  ['a loopback address', '127.0.0.0/8', '::1/128'],
  ['a private address', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
  ['a link-local address', '169.254.0.0/16', 'fe80::/10'],
  ['a unique-local address', 'fc00::/7'],
  ['a site-local address', 'fec0::/10'],
  ['an address of carrier-grade NAT', '100.64.0.0/10'],
  ['a multicast address', '224.0.0.0/4', 'ff00::/8'],
  ['an address for documentation', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'],
  ['an address for documentation', '2001:db8::/32', '3fff::/20'],
  ['an address for measurements', '198.18.0.0/15'],
  ['an address of a protocol', '192.0.0.0/24', '192.88.99.0/24', '2001::/23', '64:ff9b:1::/48'],
  ['an address of a tunnel', '2002::/16'],
  ['a reserved address', '240.0.0.0/4'],
]

/** Where clouds hand out credentials; some lie in public ranges. A range around them does not open them. */
const METADATA = new Set([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
])

const KINDS = REFUSED.map(([kind, ...cidrs]) => ({ kind, networks: networksOf(cidrs) }))
const PUBLIC_IPV6 = networksOf(['2000::/3'])
/** RFC 6052: an IPv4 address stands in the last 32 bits. */
const NAT64 = networksOf(['64:ff9b::/96'])
const IPV4_MASK = 0xffff_ffffn
const WIDTH = { 4: 32, 6: 128 } as const

const isIn = (networks: readonly Network[], address: IpAddress): boolean =>
  networks.some(network => contains(network, address))

export const allowedOf = (networks: readonly Network[]): Allowed => ({
  covers: address => isIn(networks, address),
  names: address => networks.some(one => one.prefix === WIDTH[one.version] && contains(one, address)),
})

/** Whether an address, as a resolver or a URL gives it, may be connected to. */
export function judge(given: string, allow: Allowed): Judgement {
  const parsed = parseAddress(given)
  if (!parsed) return { address: given, refused: 'no plain address' }
  const address = addressText(parsed)
  if (METADATA.has(address))
    return { address, refused: allow.names(parsed) ? null : 'the metadata service of a cloud' }
  return { address, refused: allow.covers(parsed) ? null : refusedKind(parsed, allow) }
}

function refusedKind(address: IpAddress, allow: Allowed): string | null {
  const found = KINDS.find(({ networks }) => isIn(networks, address))
  if (found) return found.kind
  if (address.version === 4) return null
  const embedded = { version: 4, bits: address.bits & IPV4_MASK } as const
  if (isIn(NAT64, address)) return judge(addressText(embedded), allow).refused
  return isIn(PUBLIC_IPV6, address) ? null : 'no public address'
}

/** The address that a socket has when it was asked for `given`. */
export function plainAddress(given: string): string {
  const parsed = parseAddress(given)
  return parsed ? addressText(parsed) : given
}
