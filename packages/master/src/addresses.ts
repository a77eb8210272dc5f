import { addressText, contains, type Network, parseAddress, parseNetwork } from '@nxmesh/contract/addresses'
import { MASTER_LIMITS } from './limits.ts'

export type { Network } from '@nxmesh/contract/addresses'

/** Networks from their text; throws with the reason for one that is none. */
export const networksOf = (cidrs: readonly string[]): readonly Network[] => cidrs.map(parseNetwork)

/** Whether one of the networks holds the address, as a socket gives it (with a zone perhaps). Nobody's address is in none. */
export function within(networks: readonly Network[], address: string | null): boolean {
  const parsed = address === null ? null : parseAddress(withoutZone(address))
  return parsed !== null && networks.some(network => contains(network, parsed))
}

/** An allow-list: null admits everyone, an empty one nobody. */
export const admits = (cidrs: readonly string[] | null, address: string | null): boolean =>
  cidrs === null || within(networksOf(cidrs), address)

const withoutZone = (address: string) => address.replace(/%.*$/, '')

/**
 * Who sent a request: the peer of the socket, or behind a trusted proxy the right-most address of X-Forwarded-For that is not
 * itself one. What stands left of that one anybody may have written. From any other peer the header is not even asked for; where
 * it cannot be read the peer counts.
 */
export function clientAddress(
  peer: string | null,
  trusted: readonly Network[],
  forwardedFor: () => string | null,
): string | null {
  if (trusted.length === 0 || !within(trusted, peer)) return peer
  const hops = (forwardedFor() ?? '').split(',').slice(-MASTER_LIMITS.proxy_hops)
  let client = peer
  for (const hop of hops.reverse()) {
    const address = parseAddress(hop.trim())
    if (!address) return peer
    client = addressText(address)
    if (!within(trusted, client)) return client
  }
  return client
}
