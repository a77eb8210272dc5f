/** What the listener knows of the connection that a request came on; passed to the application beside the request. */
export interface Connection {
  /**
   * The peer's address as the socket has it; a header that claims another is read only where the peer is a trusted proxy
   * (`clientAddress`). May be a getter, because asking the socket costs as much as a small request; null once the peer is gone.
   */
  readonly ip_address: string | null
  /** Between the client and the master, or between the client and a trusted proxy that says so. May be a getter. */
  readonly tls: boolean
  /** Lifts the idle timeout for a request that waits for something (`?wait=applied`). */
  readonly hold: () => void
}
