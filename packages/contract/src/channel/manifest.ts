import type { ManifestDelta, ManifestEntry } from './messages.ts'

/** A key stands once; sorted by key in code units, so that both ends write the same text. */
export function sortManifest(entries: Iterable<ManifestEntry>): ManifestEntry[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

/** The text whose SHA-256 (lower-case hex, over UTF-8) is a bundle's hash: a line `key hash` for each entry, sorted by key. */
export function manifestText(sorted: readonly ManifestEntry[]): string {
  let text = ''
  for (const [key, hash] of sorted) text += `${key} ${hash}\n`
  return text
}

/** The sorted manifest that a delta makes of the one under `base` (empty when base is null). */
export function applyDelta(base: readonly ManifestEntry[], delta: ManifestDelta): ManifestEntry[] {
  const gone = new Set<string>(delta.remove)
  for (const [key] of delta.put) gone.add(key)
  const kept = gone.size === 0 ? [...base] : base.filter(([key]) => !gone.has(key))
  return sortManifest([...kept, ...delta.put])
}
