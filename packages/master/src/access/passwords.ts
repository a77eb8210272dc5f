import { ApiError, LIMITS } from '@nxmesh/contract'

// OWASP Password Storage Cheat Sheet, second argon2id profile: 19 MiB, two passes.
const PROFILE = { algorithm: 'argon2id', memoryCost: 19_456, timeCost: 2 } as const
/** The hash of a random text that nobody knows: what an unknown e-mail is checked against. */
const DECOY =
  '$argon2id$v=19$m=19456,t=2,p=1$Vug7BIBpCNJWXJcclV1L921NVONRvQhx7MHzsswSdns$ycLSozYYBDI80V1TDRHBgGtq2GmCoYBoUjFuDx1Pyvg'

export interface Passwords {
  hash(password: string): Promise<string>
  /** With null (there is no such user) it works as long as with a hash, and says no. */
  matches(password: string, password_hash: string | null): Promise<boolean>
}

/** argon2id, a few at once: each takes 19 MiB and a core for some 20 ms. Throws UNAVAILABLE when too many wait. */
export function makePasswords(): Passwords {
  let running = 0
  const waiting: (() => void)[] = []

  const bounded = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= LIMITS.password_checks_at_once) await place()
    else running++
    try {
      return await work()
    } finally {
      // The place goes to whoever waits first, without being free in between.
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
  const place = () =>
    new Promise<void>((resolve, reject) => {
      if (waiting.length < LIMITS.password_checks_waiting) waiting.push(resolve)
      else reject(new ApiError('UNAVAILABLE', 'Too many log-ins at once', { retry_after_s: 2 }))
    })

  return {
    hash: password => bounded(() => Bun.password.hash(password, PROFILE)),
    matches: (password, password_hash) =>
      bounded(
        async () => (await Bun.password.verify(password, password_hash ?? DECOY)) && password_hash !== null,
      ),
  }
}
