/** Requests to places that people configure: identity providers, webhooks. Nothing of the master's own network is reached. */
export interface Outgoing {
  /**
   * As the web's `fetch`, for one request of at most `outgoing_ms` whose answer fits in memory. Throws `OutgoingError`. Does not
   * need `this`, so that it can be handed to a library as its fetch.
   */
  readonly fetch: (url: string | URL, init?: OutgoingInit) => Promise<Response>
}

export interface OutgoingInit {
  readonly method?: string | undefined
  readonly headers?: ConstructorParameters<typeof Headers>[0]
  readonly body?: string | URLSearchParams | Uint8Array | ArrayBuffer | ReadableStream | null | undefined
  /** `follow` (the default) at most three, each judged as the first; `manual` answers the redirect itself. */
  readonly redirect?: 'follow' | 'manual' | 'error' | undefined
  readonly signal?: AbortSignal | null | undefined
}

export type OutgoingReason =
  /** The request itself: a URL, method, header or body that is not sent. */
  | 'invalid'
  /** An address that is not connected to. */
  | 'refused'
  | 'unreachable'
  /** The other end's certificate. */
  | 'untrusted'
  | 'timeout'
  | 'too_large'
  | 'redirect'
  /** Too many at once. */
  | 'busy'

/** The message is for people: what was asked of whom, why it failed, what to do. It holds nothing of an answer, and no path or query. */
export class OutgoingError extends Error {
  override readonly name = 'OutgoingError'
  readonly reason: OutgoingReason

  constructor(reason: OutgoingReason, message: string) {
    super(message)
    this.reason = reason
  }
}
