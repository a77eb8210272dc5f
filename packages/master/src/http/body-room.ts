import { ApiError } from '@nxmesh/contract'

const RETRY_AFTER_S = 1

/** How many bytes of bodies may be on their way into memory at once: of all, and of one sender. */
export interface BodyRoomRule {
  readonly max_bytes: number
  readonly sender_max_bytes: number
}

/**
 * Room for the bodies that are being read. A body has its place from its first byte to its last, however slowly it comes:
 * what it may become is what counts. No sender can take all of it, so that one who sends nothing shuts out nobody else.
 */
export class BodyRoom {
  readonly #rule: BodyRoomRule
  readonly #by_sender = new Map<string, number>()
  #taken_bytes = 0

  constructor(rule: BodyRoomRule) {
    this.#rule = rule
  }

  /** Throws UNAVAILABLE, or RATE_LIMITED where the sender's own bodies are too many, before a byte is read. */
  async run<T>(sender: string, bytes: number, read: () => Promise<T>): Promise<T> {
    const own_bytes = this.#by_sender.get(sender) ?? 0
    if (own_bytes + bytes > this.#rule.sender_max_bytes)
      throw full('RATE_LIMITED', `You are sending more than ${this.#rule.sender_max_bytes} bytes at once`)
    if (this.#taken_bytes + bytes > this.#rule.max_bytes)
      throw full('UNAVAILABLE', 'The master is reading too many request bodies; nothing was changed')
    this.#take(sender, bytes)
    try {
      return await read()
    } finally {
      this.#take(sender, -bytes)
    }
  }

  #take(sender: string, bytes: number): void {
    this.#taken_bytes += bytes
    const own_bytes = (this.#by_sender.get(sender) ?? 0) + bytes
    if (own_bytes > 0) this.#by_sender.set(sender, own_bytes)
    else this.#by_sender.delete(sender)
  }
}

const full = (code: 'UNAVAILABLE' | 'RATE_LIMITED', message: string) =>
  new ApiError(code, message, { retry_after_s: RETRY_AFTER_S })
