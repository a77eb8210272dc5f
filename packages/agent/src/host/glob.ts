import { globSync } from 'node:fs'
import { resolve } from 'node:path'
import { isFolder } from './files.ts'

/** The files that an include of nginx opens, sorted as nginx reads them; relative patterns count from `base`. */
export function expandPattern(pattern: string, base: string): string[] {
  const path = resolve(base, pattern)
  const found = /[*?[]/.test(path) ? globSync(path) : [path]
  return found.filter(one => !isFolder(one)).sort()
}
