/** Whether version `a` is at least `b`, by their numbers: `1.22.1` ≥ `1.15.3`. Text that is no version counts as 0. */
export function versionAtLeast(a: string, b: string): boolean {
  const left = parts(a)
  const right = parts(b)
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

const parts = (version: string): number[] => version.split('.').map(part => Number.parseInt(part, 10) || 0)
