import { ApiError, LIMITS } from '@nxmesh/contract'
import { addressKey, makeTokenBuckets } from '../http/token-buckets.ts'

export interface LoginThrottle {
  /** Counts an attempt before the password is looked at; throws RATE_LIMITED. */
  attempt(ip_address: string | null, email: string): void
  /** Counts an attempt on an account from where its owner is not logged in; throws RATE_LIMITED. */
  stranger(email: string): void
  /** Takes the attempt back: it was the owner. */
  succeeded(ip_address: string | null, email: string): void
}

/**
 * Slows a guesser without locking an account. What counts is the address with the e-mail, more generously the address alone,
 * and, for many addresses that try one e-mail together, the e-mail: but never where its owner is logged in from. Headers
 * that claim an address are not read.
 */
export function makeLoginThrottle(now: () => Date): LoginThrottle {
  const buckets = (burst: number, per_s: number) => makeTokenBuckets({ burst, per_s }, LIMITS.rate_keys, now)
  const pairs = buckets(LIMITS.login_burst_attempts, LIMITS.login_attempts_per_s)
  const addresses = buckets(LIMITS.login_address_burst_attempts, LIMITS.login_address_attempts_per_s)
  const emails = buckets(LIMITS.login_email_burst_attempts, LIMITS.login_email_attempts_per_s)
  const pairKey = (ip_address: string | null, email: string) => `${addressKey(ip_address)} ${email}`
  const admit = (wait_s: number) => {
    if (wait_s > 0)
      throw new ApiError('RATE_LIMITED', `Too many attempts; try again in ${wait_s} s`, {
        retry_after_s: wait_s,
      })
  }

  return {
    attempt(ip_address, email) {
      admit(addresses.take(addressKey(ip_address)) || pairs.take(pairKey(ip_address, email)))
    },
    stranger: email => admit(emails.take(email)),
    succeeded(ip_address, email) {
      addresses.giveBack(addressKey(ip_address))
      pairs.giveBack(pairKey(ip_address, email))
      emails.giveBack(email)
    },
  }
}
