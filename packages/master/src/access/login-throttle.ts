import { ApiError, LIMITS } from '@nxmesh/contract'
import { addressKey, makeTokenBuckets } from '../http/token-buckets.ts'
import { keepNewest } from '../keep-newest.ts'

/** How much the place that an attempt comes from is trusted, from most to least: who is trusted more is served before. */
export type Trust = 'known' | 'clean' | 'suspicious'

export interface LoginThrottle {
  /** Counts an attempt before the password is looked at; throws RATE_LIMITED. */
  attempt(ip_address: string | null, email: string): void
  /** `known`: the owner of the account is logged in from there. Throws RATE_LIMITED when suspicious places try too much together. */
  trust(ip_address: string | null, known: boolean): Trust
  /** The password was wrong. */
  failed(ip_address: string | null): void
  /** Takes the attempt back: it was the owner. */
  succeeded(ip_address: string | null, email: string): void
}

/**
 * Slows a guesser without locking an account: nothing is counted against an e-mail. What counts is the address with the
 * e-mail and, more generously, the address alone. Guessers who have many addresses fail from each of them; then they wait behind
 * everybody else, and together get few attempts. Headers that claim an address are not read.
 */
export function makeLoginThrottle(now: () => Date): LoginThrottle {
  const buckets = (burst: number, per_s: number, keys: number = LIMITS.rate_keys) =>
    makeTokenBuckets({ burst, per_s }, keys, now)
  const pairs = buckets(LIMITS.login_burst_attempts, LIMITS.login_attempts_per_s)
  const addresses = buckets(LIMITS.login_address_burst_attempts, LIMITS.login_address_attempts_per_s)
  const suspicious = buckets(
    LIMITS.login_suspicious_burst_attempts,
    LIMITS.login_suspicious_attempts_per_s,
    1,
  )
  const failed_ms = new Map<string, number>()
  const pairKey = (ip_address: string | null, email: string) => `${addressKey(ip_address)} ${email}`
  const admit = (wait_s: number) => {
    if (wait_s > 0)
      throw new ApiError('RATE_LIMITED', `Too many attempts; try again in ${wait_s} s`, {
        retry_after_s: wait_s,
      })
  }
  const hasFailed = (address: string): boolean => {
    const at_ms = failed_ms.get(address)
    return at_ms !== undefined && Math.abs(now().getTime() - at_ms) < LIMITS.login_failure_keep_ms
  }

  return {
    attempt(ip_address, email) {
      admit(addresses.take(addressKey(ip_address)) || pairs.take(pairKey(ip_address, email)))
    },
    trust(ip_address, known) {
      if (known) return 'known'
      if (!hasFailed(addressKey(ip_address))) return 'clean'
      admit(suspicious.take('all'))
      return 'suspicious'
    },
    failed(ip_address) {
      keepNewest(failed_ms, addressKey(ip_address), now().getTime(), LIMITS.rate_keys)
    },
    succeeded(ip_address, email) {
      addresses.giveBack(addressKey(ip_address))
      pairs.giveBack(pairKey(ip_address, email))
    },
  }
}
