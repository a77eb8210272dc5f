import { ApiError, LIMITS } from '@nxmesh/contract'
import { addressKey } from '../http/token-buckets.ts'
import type { Standing } from './login-throttle.ts'

// OWASP Password Storage Cheat Sheet, second argon2id profile: 19 MiB, two passes.
const PROFILE = { algorithm: 'argon2id', memoryCost: 19_456, timeCost: 2 } as const
/** The hash of a random text that nobody knows: what an unknown e-mail is checked against. */
const DECOY =
  '$argon2id$v=19$m=19456,t=2,p=1$Vug7BIBpCNJWXJcclV1L921NVONRvQhx7MHzsswSdns$ycLSozYYBDI80V1TDRHBgGtq2GmCoYBoUjFuDx1Pyvg'

/** Who waits for a hash: those who are trusted more go first, and nobody waits behind a sender that sends many. */
export interface Place {
  readonly sender: string
  readonly standing: Standing
}

/** For those who proved something already: a token, a link, a session. */
export const placeOf = ({ ip_address }: { readonly ip_address: string | null }): Place => ({
  sender: addressKey(ip_address),
  standing: 'known',
})

export interface Passwords {
  hash(password: string, place: Place): Promise<string>
  /** With null (there is no such user) it works as long as with a hash, and says no. */
  matches(password: string, password_hash: string | null, place: Place): Promise<boolean>
}

/**
 * argon2id, few at once: each takes 19 MiB and a core for some 20 ms. One place is never a stranger's, so that whoever is
 * known gets in during a flood, and the flood never gets every core. Throws UNAVAILABLE when too many wait, RATE_LIMITED when
 * too many of one sender do.
 */
export function makePasswords(): Passwords {
  const queues = { known: new FairQueue(), clean: new FairQueue(), suspicious: new FairQueue() }
  let running = 0
  let strangers = 0

  const hasRoom = (standing: Standing): boolean =>
    running < LIMITS.password_checks_at_once &&
    (standing === 'known' || strangers < LIMITS.password_checks_of_strangers)
  const enter = (standing: Standing) => {
    running++
    if (standing !== 'known') strangers++
  }
  const leave = (standing: Standing) => {
    running--
    if (standing !== 'known') strangers--
    for (const next of ['known', 'clean', 'suspicious'] as const) {
      const start = hasRoom(next) ? queues[next].next() : undefined
      if (!start) continue
      // Taken for it here: nobody comes in between.
      enter(next)
      return start()
    }
  }

  const bounded = async <T>({ sender, standing }: Place, work: () => Promise<T>): Promise<T> => {
    if (hasRoom(standing)) enter(standing)
    else await queues[standing].place(sender)
    try {
      return await work()
    } finally {
      leave(standing)
    }
  }

  return {
    hash: (password, place) => bounded(place, () => Bun.password.hash(password, PROFILE)),
    matches: (password, password_hash, place) =>
      bounded(
        place,
        async () => (await Bun.password.verify(password, password_hash ?? DECOY)) && password_hash !== null,
      ),
  }
}

type Start = () => void

/** Takes one of each sender in turn. Bounded in all and for each. */
class FairQueue {
  readonly #by_sender = new Map<string, Start[]>()
  #waiting = 0

  place(sender: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const own = this.#by_sender.get(sender) ?? []
      if (own.length >= LIMITS.password_checks_of_sender) return reject(tooMany('RATE_LIMITED'))
      if (this.#waiting >= LIMITS.password_checks_waiting) return reject(tooMany('UNAVAILABLE'))
      this.#by_sender.set(sender, [...own, resolve])
      this.#waiting++
    })
  }

  next(): Start | undefined {
    for (const [sender, [first, ...rest]] of this.#by_sender) {
      this.#by_sender.delete(sender)
      // To the end of the line.
      if (rest.length > 0) this.#by_sender.set(sender, rest)
      this.#waiting--
      return first
    }
    return undefined
  }
}

const tooMany = (code: 'RATE_LIMITED' | 'UNAVAILABLE') =>
  new ApiError(code, 'Too many log-ins at once', { retry_after_s: 2 })
