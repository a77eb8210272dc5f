/** Identifiers that sort by time (RFC 9562, version 7). */
export function randomUUIDv7(): string {
  return Bun.randomUUIDv7()
}
