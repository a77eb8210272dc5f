import { ApiError, LIMITS } from '@nxmesh/contract'
import { addressKey, makeTokenBuckets } from '../http/token-buckets.ts'

export interface LoginThrottle {
  /** Counts an attempt before the password is looked at; throws RATE_LIMITED. */
  attempt(ip_address: string | null, email: string): void
  /** Takes the attempt back: it was the owner. */
  succeeded(ip_address: string | null, email: string): void
}

/**
 * Slows a guesser without locking an account: what counts is the address with the e-mail, and, more generously, the address
 * alone. The owner who comes from elsewhere never notices. Headers that claim an address are not read.
 */
export function makeLoginThrottle(now: () => Date): LoginThrottle {
  const pairs = makeTokenBuckets(
    { burst: LIMITS.login_burst_attempts, per_s: LIMITS.login_attempts_per_s },
    LIMITS.rate_keys,
    now,
  )
  const addresses = makeTokenBuckets(
    { burst: LIMITS.login_address_burst_attempts, per_s: LIMITS.login_address_attempts_per_s },
    LIMITS.rate_keys,
    now,
  )
  const pairKey = (ip_address: string | null, email: string) => `${addressKey(ip_address)} ${email}`

  return {
    attempt(ip_address, email) {
      const wait_s = addresses.take(addressKey(ip_address)) || pairs.take(pairKey(ip_address, email))
      if (wait_s > 0)
        throw new ApiError('RATE_LIMITED', `Too many attempts; try again in ${wait_s} s`, {
          retry_after_s: wait_s,
        })
    },
    succeeded(ip_address, email) {
      addresses.giveBack(addressKey(ip_address))
      pairs.giveBack(pairKey(ip_address, email))
    },
  }
}
