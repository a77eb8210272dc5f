/**
 * IP addresses and networks in CIDR notation, pure. An IPv4 address that is written as an IPv6 one (`::ffff:192.0.2.1`,
 * RFC 4291 section 2.5.5.2) is that IPv4 address, so that a listener on every address sees the same peers as one on IPv4.
 */
export interface IpAddress {
  readonly version: 4 | 6
  /** 32 bits or 128. */
  readonly bits: bigint
}

export interface Network {
  readonly version: 4 | 6
  /** The bits behind the prefix are zero. */
  readonly bits: bigint
  readonly prefix: number
}

const WIDTH = { 4: 32, 6: 128 } as const
const MAPPED_PREFIX = 96
const MAPPED = 0xffffn << 32n
const IPV4_MASK = 0xffff_ffffn
const ADDRESS_CHARS = 45

/** Null for what is no address. Leading zeros are refused: some read them as octal. A zone (`%eth0`) is not part of it. */
export function parseAddress(text: string): IpAddress | null {
  if (text.length > ADDRESS_CHARS) return null
  const bits = text.includes(':') ? ipv6Bits(text) : ipv4Bits(text)
  if (bits === null) return null
  if (!text.includes(':')) return { version: 4, bits }
  return bits >> 32n === MAPPED >> 32n ? { version: 4, bits: bits & IPV4_MASK } : { version: 6, bits }
}

function ipv4Bits(text: string): bigint | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  let bits = 0n
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null
    bits = (bits << 8n) | BigInt(part)
  }
  return bits
}

function ipv6Bits(text: string): bigint | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const [head, tail] = [groupsOf(halves[0] ?? '', halves.length === 1), groupsOf(halves[1] ?? '', true)]
  if (!head || !tail) return null
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const groups = [...head, ...Array<bigint>(missing).fill(0n), ...tail]
  return groups.reduce((bits, group) => (bits << 16n) | group, 0n)
}

/** Groups of 16 bits; the last one may be an IPv4 address, which is two. Null when one of them is none. */
function groupsOf(text: string, may_end_in_ipv4: boolean): bigint[] | null {
  if (text === '') return []
  const groups: bigint[] = []
  const parts = text.split(':')
  for (const [at, part] of parts.entries()) {
    const ipv4 = may_end_in_ipv4 && at === parts.length - 1 && part.includes('.') ? ipv4Bits(part) : null
    if (ipv4 !== null) groups.push(ipv4 >> 16n, ipv4 & 0xffffn)
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`))
    else return null
  }
  return groups
}

/** An address alone is a network of one. Throws with the reason, for people. */
export function parseNetwork(text: string): Network {
  const [, address_text = '', digits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const address = parseAddress(address_text)
  if (!address) throw new Error('must be an IPv4 or IPv6 network such as 192.0.2.0/24 or 2001:db8::/32')
  const mapped = address_text.includes(':') && address.version === 4
  const width = WIDTH[address.version]
  const prefix = digits === undefined ? width : Number(digits) - (mapped ? MAPPED_PREFIX : 0)
  if (prefix < 0 || prefix > width) throw new Error(`the prefix /${digits} does not fit the address`)
  const network = { ...address, bits: masked(address, prefix), prefix }
  if (network.bits === address.bits) return network
  throw new Error(`has bits behind its prefix; the network is ${networkText(network)}`)
}

const masked = ({ version, bits }: IpAddress, prefix: number): bigint => {
  const behind = BigInt(WIDTH[version] - prefix)
  return (bits >> behind) << behind
}

export const contains = (network: Network, address: IpAddress): boolean =>
  network.version === address.version && masked(address, network.prefix) === network.bits

export const networkText = (network: Network): string => `${addressText(network)}/${network.prefix}`

/** The one way to write it; IPv6 as RFC 5952 section 4 has it. */
export function addressText({ version, bits }: IpAddress): string {
  const at = (shift: number, width: number) => (bits >> BigInt(shift)) & ((1n << BigInt(width)) - 1n)
  if (version === 4) return [24, 16, 8, 0].map(shift => at(shift, 8)).join('.')
  const groups = [112, 96, 80, 64, 48, 32, 16, 0].map(shift => at(shift, 16).toString(16))
  const run = longestZeros(groups)
  if (run.length < 2) return groups.join(':')
  return `${groups.slice(0, run.start).join(':')}::${groups.slice(run.start + run.length).join(':')}`
}

function longestZeros(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === '0') length++
    if (length > best.length) best = { start, length }
  }
  return best
}
