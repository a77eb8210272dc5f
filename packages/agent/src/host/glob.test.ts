import { afterAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expandPattern } from './glob.ts'

const root = mkdtempSync(join(tmpdir(), 'nxmesh-glob-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
for (const folder of ['sites', 'sites/folder', 'a', 'b']) mkdirSync(join(root, folder))
for (const file of ['sites/z', 'sites/b.conf', 'sites/a.conf', 'sites/.hidden', 'sites/a+b[1]', 'a/x', 'b/x'])
  writeFileSync(join(root, file), '')
symlinkSync(join(root, 'a/x'), join(root, 'sites/link.conf'))

describe('an include finds what nginx would open:', () => {
  for (const [pattern, found] of [
    ['sites/*.conf', ['sites/a.conf', 'sites/b.conf', 'sites/link.conf']],
    ['sites/*', ['sites/a+b[1]', 'sites/a.conf', 'sites/b.conf', 'sites/link.conf', 'sites/z']],
    ['sites/.*', ['sites/.hidden']],
    ['sites/?', ['sites/z']],
    ['sites/[ab].conf', ['sites/a.conf', 'sites/b.conf']],
    ['sites/[!a].conf', ['sites/b.conf']],
    ['sites/a+*', ['sites/a+b[1]']],
    ['?/x', ['a/x', 'b/x']],
    ['*/x', ['a/x', 'b/x']],
    ['missing/*', []],
    ['sites/z/*', []],
    ['sites/z', ['sites/z']],
    ['missing', ['missing']],
    ['sites/folder', []],
  ] as const) {
    test(pattern, () => {
      expect(expandPattern(pattern, root)).toEqual(found.map(one => join(root, one)))
      expect(expandPattern(join(root, pattern), '/')).toEqual(found.map(one => join(root, one)))
    })
  }
})
