import { resolve } from 'node:path'
import { exists, isFolder, listFolder } from './files.ts'

/**
 * The files that an include of nginx opens, sorted as nginx reads them; relative patterns count from `base`. As glob(3): `*`,
 * `?` and `[…]` stand for parts of one name, and not for a dot at its beginning. Written out, because the agent asks every
 * few seconds and the runtime's own takes megabytes.
 */
export function expandPattern(pattern: string, base: string): string[] {
  const path = resolve(base, pattern)
  if (!isWild(path)) return isFolder(path) ? [] : [path]
  let found = ['']
  for (const part of path.split('/').slice(1)) found = found.flatMap(folder => matches(folder, part))
  return found.filter(one => !isFolder(one)).sort()
}

const isWild = (text: string) => /[*?[]/.test(text)

function matches(folder: string, part: string): string[] {
  if (!isWild(part)) return exists(`${folder}/${part}`) ? [`${folder}/${part}`] : []
  if (!isFolder(`${folder}/`)) return []
  const wanted = nameOf(part)
  return listFolder(`${folder}/`)
    .filter(name => wanted.test(name) && (!name.startsWith('.') || part.startsWith('.')))
    .map(name => `${folder}/${name}`)
}

function nameOf(part: string): RegExp {
  const source = part.replace(/\*|\?|\[!?\]?[^\]]*\]|[\\^$.|+(){}[\]]/g, token => {
    if (token === '*') return '.*'
    if (token === '?') return '.'
    if (token.length === 1) return `\\${token}`
    return `[${token
      .slice(1, -1)
      .replace(/^!/, '^')
      .replace(/[\\\][]/g, '\\$&')}]`
  })
  return new RegExp(`^${source}$`, 's')
}
