import { describe, expect, test } from 'bun:test'
import * as layers from './layers.ts'
import { allSources, packageOf, source } from './sources.ts'

const sources = allSources()
const contract = "import { LIMITS } from '@nxmesh/contract'"

test('the rules see the code of every package', () => {
  for (const name of ['contract', 'nginx', 'master', 'agent'])
    expect(sources.filter(one => packageOf(one.path) === name).length).toBeGreaterThan(5)
  const imports = sources.flatMap(one => one.imports)
  expect(imports.length).toBeGreaterThan(100)
  expect(imports.some(one => one.target === 'packages/contract/src/index.ts')).toBe(true)
})

test('every way to write an import is read', () => {
  const text = `import { a } from './a.ts'\nimport type { B } from './b.ts'\nexport * from './c.ts'\nimport './d.ts'
    const e = await import('./e.ts')\nimport {\n  f,\n  type G,\n} from './f.ts'\n// import { h } from './h.ts'\n`
  expect(source('packages/x/src/m.ts', text).imports.map(one => one.target)).toEqual(
    ['a', 'b', 'c', 'd', 'e', 'f'].map(name => `packages/x/src/${name}.ts`),
  )
})

interface Case {
  readonly rule: layers.Rule
  /** A file that keeps the rule, and files that break it: path and text. */
  readonly keeps: readonly [string, string]
  readonly breaks: readonly (readonly [string, string])[]
}

const cases: Record<string, Case> = {
  'apps meet only at contract and nginx, which import no sibling': {
    rule: layers.appsMeetOnlyAtContractAndNginx,
    keeps: ['packages/agent/src/x.ts', contract],
    breaks: [
      ['packages/agent/src/x.ts', "import { a } from '@nxmesh/master/ids'"],
      ['packages/master/src/x.ts', "import type { a } from '../../agent/src/main.ts'"],
      ['packages/contract/src/x.ts', "export * from '@nxmesh/nginx'"],
      ['packages/nginx/src/x.ts', contract],
      ['packages/agent/src/x.ts', "import { a } from '../../../e2e/support/until.ts'"],
    ],
  },
  'nginx has no I/O, no built-in, no clock': {
    rule: layers.nginxIsPure,
    keeps: ['packages/nginx/src/x.ts', "import { parse } from '@handlebars/parser' // Date.now()"],
    breaks: [
      ['packages/nginx/src/x.ts', "import { readFileSync } from 'node:fs'"],
      ['packages/nginx/src/x.ts', 'export const now = () => Date.now()'],
      ['packages/nginx/src/x.ts', "export const f = new Function('return 1')"],
      ['packages/nginx/src/x.ts', "import { z } from 'zod'"],
    ],
  },
  'contract needs only zod': {
    rule: layers.contractNeedsOnlyZod,
    keeps: ['packages/contract/src/x.ts', "import { z } from 'zod'"],
    breaks: [
      ['packages/contract/src/x.ts', "import { createHash } from 'node:crypto'"],
      ['packages/contract/src/x.ts', "import { Hono } from 'hono'"],
    ],
  },
  'routes never touch a store': {
    rule: layers.routesNeverTouchAStore,
    keeps: ['packages/master/src/agents/agents-routes.ts', "import { a } from './agents-service.ts'"],
    breaks: [['packages/master/src/agents/agents-routes.ts', "import { a } from './agents-store.ts'"]],
  },
  'a store is private to its area': {
    rule: layers.storesArePrivate,
    keeps: ['packages/master/src/agents/agents-service.ts', "import { a } from './agents-store.ts'"],
    breaks: [
      ['packages/master/src/config/config-service.ts', "import { a } from '../agents/agents-store.ts'"],
    ],
  },
  'only agent/src/host touches disk and processes': {
    rule: layers.onlyHostTouchesDiskAndProcesses,
    keeps: ['packages/agent/src/host/files.ts', "import { open } from 'node:fs/promises'"],
    breaks: [
      ['packages/agent/src/apply/x.ts', "import { open } from 'node:fs/promises'"],
      ['packages/agent/src/link/x.ts', "import { spawn } from 'node:child_process'"],
      ['packages/agent/src/state/x.ts', "export const read = () => Bun.file('/etc/passwd')"],
    ],
  },
}

for (const [title, { rule, keeps, breaks }] of Object.entries(cases)) {
  describe(title, () => {
    test('in this repository', () => expect(rule(sources)).toEqual([]))
    test('a file that keeps the rule is not accused', () => expect(rule([source(...keeps)])).toEqual([]))
    for (const [path, text] of breaks)
      test(`${path} is caught with ${text}`, () => expect(rule([source(path, text)])).toHaveLength(1))
  })
}
