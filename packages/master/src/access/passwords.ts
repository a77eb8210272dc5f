import { ApiError, LIMITS } from '@nxmesh/contract'

// OWASP Password Storage Cheat Sheet, second argon2id profile: 19 MiB, two passes.
const PROFILE = { algorithm: 'argon2id', memoryCost: 19_456, timeCost: 2 } as const
/** The hash of a random text that nobody knows: what an unknown e-mail is checked against. */
const DECOY =
  '$argon2id$v=19$m=19456,t=2,p=1$Vug7BIBpCNJWXJcclV1L921NVONRvQhx7MHzsswSdns$ycLSozYYBDI80V1TDRHBgGtq2GmCoYBoUjFuDx1Pyvg'

/** Who waits for a hash: those who are known do not wait behind strangers, and no sender behind one that sends many. */
export interface Lane {
  readonly sender: string
  readonly known: boolean
}

export interface Passwords {
  hash(password: string, lane: Lane): Promise<string>
  /** With null (there is no such user) it works as long as with a hash, and says no. */
  matches(password: string, password_hash: string | null, lane: Lane): Promise<boolean>
}

/**
 * argon2id, a few at once: each takes 19 MiB and a core for some 20 ms. Throws UNAVAILABLE when too many wait, RATE_LIMITED
 * when too many of one sender do.
 */
export function makePasswords(): Passwords {
  const known = new FairQueue()
  const strangers = new FairQueue()
  let running = 0

  const bounded = async <T>(lane: Lane, work: () => Promise<T>): Promise<T> => {
    if (running >= LIMITS.password_checks_at_once) await (lane.known ? known : strangers).place(lane.sender)
    else running++
    try {
      return await work()
    } finally {
      // The place goes to whoever is next, without being free in between.
      const next = known.next() ?? strangers.next()
      if (next) next()
      else running--
    }
  }

  return {
    hash: (password, lane) => bounded(lane, () => Bun.password.hash(password, PROFILE)),
    matches: (password, password_hash, lane) =>
      bounded(
        lane,
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
