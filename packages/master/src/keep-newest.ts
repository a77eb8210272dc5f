/**
 * Puts a value into a map of at most `max_entries`, as its newest; beyond them the one that was put there longest ago goes. The one way
 * to bound what is remembered: a map keeps the order in which its keys came.
 */
export function keepNewest<K, V>(map: Map<K, V>, key: K, value: V, max_entries: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= max_entries) return
  const oldest = map.keys().next()
  if (!oldest.done) map.delete(oldest.value)
}
