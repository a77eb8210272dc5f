import { addressText, parseAddress } from '@nxmesh/contract/addresses'
import { keepNewest } from '../keep-newest.ts'

/** `burst` may come at once; `per_s` flow in each second after that. */
export interface BucketRule {
  readonly burst: number
  readonly per_s: number
}

export interface TokenBuckets {
  /** Takes one; 0 when there was one, otherwise the whole seconds until there is. */
  take(key: string): number
  /** Puts one back that was taken for something that turned out to be welcome. */
  giveBack(key: string): void
}

interface Bucket {
  tokens: number
  at_ms: number
}

/** Token buckets by key. At most `max_keys` are remembered; the one used longest ago is forgotten first. */
export function makeTokenBuckets(rule: BucketRule, max_keys: number, now: () => Date): TokenBuckets {
  const buckets = new Map<string, Bucket>()

  const fill = (key: string): Bucket => {
    const at_ms = now().getTime()
    const bucket = buckets.get(key) ?? { tokens: rule.burst, at_ms }
    // A clock that was set back adds nothing and takes nothing away.
    const passed_s = Math.max(0, at_ms - bucket.at_ms) / 1_000
    bucket.tokens = Math.min(rule.burst, bucket.tokens + passed_s * rule.per_s)
    bucket.at_ms = at_ms
    keepNewest(buckets, key, bucket, max_keys)
    return bucket
  }

  return {
    take(key) {
      const bucket = fill(key)
      if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / rule.per_s))
      bucket.tokens -= 1
      return 0
    },
    giveBack(key) {
      const bucket = buckets.get(key)
      if (bucket) bucket.tokens = Math.min(rule.burst, bucket.tokens + 1)
    },
  }
}

/**
 * What stands for an address in a limit: an IPv6 customer has a whole /64 (RFC 6177), so that counts as one; `::ffff:192.0.2.1` is
 * the IPv4 address in it, however it is written.
 */
export function addressKey(ip_address: string | null): string {
  if (ip_address === null) return 'unknown'
  // As sockets write it, on one family or on both: nearly every request is this one.
  const plain = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/.exec(ip_address)?.[1]
  if (plain !== undefined) return plain
  const address = parseAddress(ip_address.replace(/%.*$/, ''))
  if (!address) return 'unknown'
  if (address.version === 4) return addressText(address)
  return [112n, 96n, 80n, 64n].map(shift => ((address.bits >> shift) & 0xffffn).toString(16)).join(':')
}
