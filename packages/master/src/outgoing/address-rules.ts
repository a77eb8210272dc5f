import { BlockList, isIP } from 'node:net'

/** What the setting `outgoing.allow` opens, and what is refused without it. Pure. */

export interface Allowed {
  /** Whether a range holds the address. */
  covers(address: string): boolean
  /** Whether a range is this one address and nothing else. */
  names(address: string): boolean
}

export interface Judgement {
  /** The one spelling of the address; an IPv4 address in an IPv6 wrapping is the IPv4 address. */
  readonly address: string
  /** What kind of address it is, for a person; null: it may be connected to. */
  readonly refused: string | null
}

type Family = 'ipv4' | 'ipv6'

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

const KINDS = REFUSED.map(([kind, ...ranges]) => ({ kind, within: rangesOf(ranges) }))
const PUBLIC_IPV6 = rangesOf(['2000::/3'])
/** RFC 6052: an IPv4 address stands in the last 32 bits. */
const NAT64 = rangesOf(['64:ff9b::/96'])

/** `text`: a CIDR or an address. Null when it is neither. */
export function parseRange(text: string): { address: string; prefix: number; family: Family } | null {
  const [, address = '', length] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  const bits = version === 4 ? 32 : 128
  const prefix = length === undefined ? bits : Number(length)
  if (version === 0 || prefix > bits) return null
  return { address: canonical(address), prefix, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/** Throws for a text that is no range: settings are checked before. */
export function allowedOf(texts: readonly string[]): Allowed {
  const within = rangesOf(texts)
  const single = new Set(
    texts.flatMap(text => {
      const range = parseRange(text)
      return range && range.prefix === (range.family === 'ipv4' ? 32 : 128) ? [range.address] : []
    }),
  )
  return { covers: within, names: address => single.has(address) }
}

/** Whether an address, as a resolver or a URL gives it, may be connected to. */
export function judge(given: string, allow: Allowed): Judgement {
  if (isIP(given) === 0 || given.includes('%')) return { address: given, refused: 'no plain address' }
  const address = plainAddress(given)
  if (METADATA.has(address))
    return { address, refused: allow.names(address) ? null : 'the metadata service of a cloud' }
  return { address, refused: allow.covers(address) ? null : refusedKind(address, allow) }
}

function refusedKind(address: string, allow: Allowed): string | null {
  const found = KINDS.find(({ within }) => within(address))
  if (found) return found.kind
  if (isIP(address) === 4) return null
  if (NAT64(address)) return judge(embedded(address), allow).refused
  return PUBLIC_IPV6(address) ? null : 'no public address'
}

/** Lists of their own for the two families: one list would hold IPv4 addresses against IPv6 ranges as well. */
function rangesOf(texts: readonly string[]): (address: string) => boolean {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const text of texts) {
    const range = parseRange(text)
    if (!range) throw new Error(`${text} is no range of addresses`)
    lists[range.family].addSubnet(range.address, range.prefix, range.family)
  }
  return address => {
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    return lists[family].check(address, family)
  }
}

/** The address that a socket has when it was asked for `given`. */
export const plainAddress = (given: string): string => unmapped(canonical(given))

/** The one spelling of RFC 5952; of IPv4 there is only one that `isIP` takes. */
function canonical(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address
}

/** RFC 4291 section 2.5.5.2: the socket would connect to the IPv4 address. */
function unmapped(address: string): string {
  return /^::ffff:[0-9a-f]+:[0-9a-f]+$/.test(address) ? embedded(address) : address
}

/** The IPv4 address in the last 32 bits of one in canonical spelling. */
function embedded(address: string): string {
  const [high = '', low = ''] = address.endsWith('::')
    ? ['0', '0']
    : address.replace('::', ':0:0:').split(':').slice(-2)
  const bits = [high, low].flatMap(part => {
    const value = Number.parseInt(part === '' ? '0' : part, 16)
    return [value >> 8, value & 0xff]
  })
  return bits.join('.')
}
