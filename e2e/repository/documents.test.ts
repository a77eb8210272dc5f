import { describe, expect, test } from 'bun:test'
import { ERRORS } from '@nxmesh/contract'
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

describe('error codes', () => {
  const documented = (text: string): string[] =>
    [...text.matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)`/g)].map(match => match[1] ?? '')

  test('are all documented, and no other is', () => {
    const codes = Object.keys(ERRORS).sort()
    expect(codes.length).toBeGreaterThan(10)
    expect([...new Set(documented(readText('docs/reference/errors.md')))].sort()).toEqual(codes)
  })
  test('are read from a document, with a stray one among them', () =>
    expect(documented('| `NOT_FOUND` | 404 | and `GONE_CODE` |')).toEqual(['NOT_FOUND', 'GONE_CODE']))
})
