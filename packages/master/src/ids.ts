/** A new identifier: UUIDv7 (RFC 9562), so that ids sort by the time they were made. The one place that makes them. */
export function newId(): string {
  return Bun.randomUUIDv7()
}
