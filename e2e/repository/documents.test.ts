import { describe, expect, test } from 'bun:test'
import { documents, missingPaths, pathsIn } from './documents.ts'
import { readText } from './sources.ts'

describe('documents name only what exists', () => {
  test('in this repository', () => {
    const all = documents()
    expect(all).toContain('README.md')
    expect(all).toContain('ARCHITECTURE.md')
    expect(all).toContain('CONTRIBUTING.md')
    expect(all.flatMap(path => pathsIn(path, readText(path))).length).toBeGreaterThan(20)
    expect(all.flatMap(path => missingPaths(path, readText(path)))).toEqual([])
  })
  test('a path that is gone is caught, in a code span and in a link', () => {
    const text = 'see `packages/gone/src/x.ts`, [this](../gone.md) and [that](../../README.md)'
    expect(missingPaths('docs/decisions/x.md', text)).toHaveLength(2)
  })
})
