import { ApiError, LIMITS, type Principal } from '@nxmesh/contract'
import { addressKey, type BucketRule, makeTokenBuckets } from './token-buckets.ts'

export interface RateRules {
  /** For each user, API key or agent. */
  readonly principal: BucketRule
  /** For what comes without valid credentials, for each address. */
  readonly address: BucketRule
}

export interface RateLimiter {
  /** Throws RATE_LIMITED with the seconds to wait. */
  admitPrincipal(principal: Principal): void
  /** The same for a request without valid credentials. */
  admitAddress(ip_address: string | null): void
}

const RULES: RateRules = {
  principal: { burst: LIMITS.principal_burst_requests, per_s: LIMITS.principal_requests_per_s },
  address: { burst: LIMITS.address_burst_requests, per_s: LIMITS.address_requests_per_s },
}

export function makeRateLimiter(now: () => Date, rules: Partial<RateRules> = {}): RateLimiter {
  const principals = makeTokenBuckets(rules.principal ?? RULES.principal, LIMITS.rate_keys, now)
  const addresses = makeTokenBuckets(rules.address ?? RULES.address, LIMITS.rate_keys, now)
  const admit = (wait_s: number) => {
    if (wait_s > 0)
      throw new ApiError('RATE_LIMITED', `Too many requests; try again in ${wait_s} s`, {
        retry_after_s: wait_s,
      })
  }
  return {
    admitPrincipal: principal => admit(principals.take(`${principal.type}:${principal.id}`)),
    admitAddress: ip_address => admit(addresses.take(addressKey(ip_address))),
  }
}
