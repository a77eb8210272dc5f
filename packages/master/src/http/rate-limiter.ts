import { ApiError, LIMITS, type Principal, RATE_CLASSES, type RateClass } from '@nxmesh/contract'
import { addressKey, type BucketRule, makeTokenBuckets, type TokenBuckets } from './token-buckets.ts'

export type ClassRules = Readonly<Record<RateClass, BucketRule>>

export interface RateRules {
  /** For each user, API key or agent. */
  readonly principal: ClassRules
  /** For what comes without valid credentials, for each address. */
  readonly address: ClassRules
}

/** A class that is used up leaves the others as they are: who wrote too much may still read. */
export interface RateLimiter {
  /** Throws RATE_LIMITED with the seconds to wait. */
  admitPrincipal(principal: Principal, rate: RateClass): void
  /** The same for a request without valid credentials. */
  admitAddress(ip_address: string | null, rate: RateClass): void
}

const RULES: RateRules = {
  principal: {
    read: { burst: LIMITS.principal_read_burst_requests, per_s: LIMITS.principal_read_requests_per_s },
    write: { burst: LIMITS.principal_write_burst_requests, per_s: LIMITS.principal_write_requests_per_s },
    credentials: {
      burst: LIMITS.principal_credentials_burst_requests,
      per_s: LIMITS.principal_credentials_requests_per_s,
    },
  },
  address: {
    read: { burst: LIMITS.address_read_burst_requests, per_s: LIMITS.address_read_requests_per_s },
    write: { burst: LIMITS.address_write_burst_requests, per_s: LIMITS.address_write_requests_per_s },
    credentials: {
      burst: LIMITS.address_credentials_burst_requests,
      per_s: LIMITS.address_credentials_requests_per_s,
    },
  },
}

/** The same rule for every class: for tests and benchmarks. */
export const everyClass = (rule: BucketRule): ClassRules => ({ read: rule, write: rule, credentials: rule })

export function makeRateLimiter(now: () => Date, rules: Partial<RateRules> = {}): RateLimiter {
  const principals = bucketsOf(rules.principal ?? RULES.principal, now)
  const addresses = bucketsOf(rules.address ?? RULES.address, now)
  const admit = (wait_s: number, rate: RateClass) => {
    if (wait_s > 0)
      throw new ApiError('RATE_LIMITED', `Too many requests (${rate}); try again in ${wait_s} s`, {
        retry_after_s: wait_s,
      })
  }
  return {
    admitPrincipal: (principal, rate) =>
      admit(principals[rate].take(`${principal.type}:${principal.id}`), rate),
    admitAddress: (ip_address, rate) => admit(addresses[rate].take(addressKey(ip_address)), rate),
  }
}

function bucketsOf(rules: ClassRules, now: () => Date): Record<RateClass, TokenBuckets> {
  const made = RATE_CLASSES.map(rate => [rate, makeTokenBuckets(rules[rate], LIMITS.rate_keys, now)] as const)
  return Object.fromEntries(made) as Record<RateClass, TokenBuckets>
}
