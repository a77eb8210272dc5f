import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  BUN_FILES,
  bunStaysInNamedFiles,
  everyImportIsDeclared,
  type Manifest,
  noCycles,
  packageName,
} from './modules.ts'
import { allSources, filesBelow, ROOT, readText, source } from './sources.ts'

const sources = allSources()

function manifest(path: string): Manifest {
  const json = JSON.parse(readText(path)) as {
    name: string
    dependencies?: Record<string, string>
    devDependencies?: Record<string, string>
  }
  const declared = Object.keys({ ...json.dependencies, ...json.devDependencies })
  return { folder: path.replace(/\/?package\.json$/, ''), name: json.name, declared }
}

describe('there is no cycle of imports', () => {
  test('in this repository', () => expect(noCycles(sources)).toEqual([]))
  test('one is found, with its whole way', () => {
    const ring = [
      source('packages/x/src/a.ts', "import { b } from './b.ts'"),
      source('packages/x/src/b.ts', "import { c } from './c.ts'"),
      source('packages/x/src/c.ts', "import type { A } from './a.ts'"),
    ]
    expect(noCycles(ring)).toEqual([
      'packages/x/src/a.ts → packages/x/src/b.ts → packages/x/src/c.ts → packages/x/src/a.ts',
    ])
  })
})

describe('every import is declared', () => {
  const manifests = ['packages', 'e2e', 'bench']
    .flatMap(folder => filesBelow(folder, ['package.json']))
    .map(manifest)
  const root = manifest('package.json').declared

  test('by the workspace that it lies in', () => {
    expect(manifests.length).toBeGreaterThan(5)
    expect(everyImportIsDeclared(sources, manifests, root)).toEqual([])
  })
  test('and one that is not is named', () => {
    const stray = source('packages/nginx/src/x.ts', "import { Hono } from 'hono/tiny'")
    expect(everyImportIsDeclared([stray], manifests, root)).toEqual([
      'packages/nginx/src/x.ts imports hono, which packages/nginx/package.json does not declare',
    ])
  })
  test('by the name of its package', () => {
    expect(['@a/b/c', 'hono/tiny', './x.ts', 'node:fs', 'bun:test'].map(packageName)).toEqual([
      '@a/b',
      'hono',
      null,
      null,
      null,
    ])
  })
})

describe('what only Bun has stays in a handful of named files', () => {
  test('in this repository', () => expect(bunStaysInNamedFiles(sources)).toEqual([]))
  test('and the list names no file that is gone', () =>
    expect(Object.keys(BUN_FILES).filter(path => !existsSync(join(ROOT, path)))).toEqual([]))
  test('a use elsewhere is caught', () => {
    const used = source('packages/master/src/x.ts', 'export const id = () => Bun.randomUUIDv7()')
    const imported = source('packages/master/src/y.ts', "import { Database } from 'bun:sqlite'")
    expect(bunStaysInNamedFiles([used, imported])).toHaveLength(2)
  })
})
