import type { Rule } from './layers.ts'
import { codeOnly, isTest, packageOf, type Source } from './sources.ts'

/** Rules about modules as such: cycles, declared packages, where Bun's own interfaces may be used. */

/** Every cycle of imports, type imports included, as `a → b → a`; at most one for each file that starts one. */
export const noCycles: Rule = sources => {
  const next = new Map(sources.map(one => [one.path, targets(one)]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) found.push([...trail.slice(start), path].join(' → '))
    if (start >= 0 || done.has(path)) return
    for (const target of next.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of next.keys()) visit(path, [])
  return found
}

const targets = (one: Source): string[] => one.imports.flatMap(({ target }) => (target ? [target] : []))

/** `a/b` of `@a/b/c`, `a` of `a/b`; null for relative imports and built-ins. */
export function packageName(specifier: string): string | null {
  if (/^(?:[./]|node:|bun:|bun$)/.test(specifier)) return null
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

export interface Manifest {
  readonly folder: string
  readonly name: string
  readonly declared: readonly string[]
}

/** Every package that a file imports is declared by the workspace it lies in; tests may also use the root's. */
export function everyImportIsDeclared(
  sources: readonly Source[],
  manifests: readonly Manifest[],
  root: readonly string[],
): string[] {
  return sources.flatMap(one => {
    const own = manifests.find(manifest => one.path.startsWith(`${manifest.folder}/`))
    if (!own) return []
    const known = new Set([own.name, ...own.declared, ...(isTest(one.path) ? root : [])])
    const missing = one.imports.map(({ specifier }) => packageName(specifier)).filter(name => name !== null)
    return [...new Set(missing)]
      .filter(name => !known.has(name))
      .map(name => `${one.path} imports ${name}, which ${own.folder}/package.json does not declare`)
  })
}

/** Where the runtime shows. Everything else is web standard or `node:`, so that the runtime can be changed. */
export const BUN_FILES: Readonly<Record<string, string>> = {
  'packages/agent/src/host/kernel.ts': 'bun:ffi: flock and madvise',
  'packages/agent/src/host/memory.ts': 'Bun.gc',
  'packages/agent/src/ids.ts': 'Bun.randomUUIDv7',
  'packages/master/src/access/passwords.ts': 'Bun.password',
  'packages/master/src/channel/agent-socket.ts': 'the type of a server’s WebSocket',
  'packages/master/src/channel/make-channel.ts': 'the type of a server’s WebSocket handlers',
  'packages/master/src/data-lock.ts': 'bun:sqlite, whose locks end with the process',
  'packages/master/src/database/sqlite.ts': 'bun:sqlite',
  'packages/master/src/events/event-socket.ts': 'the type of a server’s WebSocket',
  'packages/master/src/events/events.ts': 'the type of a server’s WebSocket handlers',
  'packages/master/src/events/make-events.ts': 'the type of a server’s WebSocket handlers',
  'packages/master/src/ids.ts': 'Bun.randomUUIDv7',
  'packages/master/src/serve.ts': 'Bun.serve, the listeners',
  'packages/master/src/sockets.ts': 'the type of a server’s WebSocket handlers',
}

export const bunStaysInNamedFiles: Rule = sources =>
  sources
    .filter(one => packageOf(one.path) !== null && !isTest(one.path) && !Object.hasOwn(BUN_FILES, one.path))
    .flatMap(one => {
      const imported = one.imports.find(({ specifier }) => /^bun(?::|$)/.test(specifier))?.specifier
      const used = imported ?? /\bBun\.\w+/.exec(codeOnly(one.text))?.[0]
      return used ? [`${one.path} uses ${used}; Bun-only interfaces stay in the files of BUN_FILES`] : []
    })
