// Exit code 0 when node_modules holds what package-lock.json says, 1 when `npm ci` is due.
// Runs under plain Node before anything is installed, hence JavaScript without imports from npm.
import { existsSync, readFileSync } from 'node:fs'

const read = path => JSON.parse(readFileSync(path, 'utf8')).packages
const same = (one, other) => one.version === other.version && one.integrity === other.integrity

/** The first package that is missing or different, or null. Optional ones belong to other platforms. */
export function firstDifference(wanted, installed) {
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || entry.link || !path.includes('node_modules/')) continue
    const there = installed[path]
    if (there ? !same(entry, there) : !entry.optional) return path
  }
  return Object.keys(installed).find(path => !Object.hasOwn(wanted, path)) ?? null
}

const hidden = 'node_modules/.package-lock.json'
const different = existsSync(hidden) ? firstDifference(read('package-lock.json'), read(hidden)) : hidden
process.exit(different === null ? 0 : 1)
