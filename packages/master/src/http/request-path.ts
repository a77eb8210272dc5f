/**
 * Path with query, as it was sent. Without a Host that a URL could hold (HTTP/1.0, an empty one) the listener gives the path
 * alone in place of a URL; it must not be cut as if a host stood before it.
 */
export function pathWithQuery(url: string): string {
  if (url.startsWith('/')) return url
  const start = url.indexOf('/', url.indexOf('://') + 3)
  return start < 0 ? '/' : url.slice(start)
}

/** Of a path with query, what routes are found by. */
export function pathOnly(url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}
