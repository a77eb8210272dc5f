import { describe, expect, test } from 'bun:test'
import { BASE_PATH, ENDPOINTS } from '@nxmesh/contract'
import type { Endpoint } from '@nxmesh/contract/endpoints/endpoint'
import { openApiDocument } from '@nxmesh/contract/openapi'
import { z } from 'zod'
import { accessProblems, errorProblems, unboundedParts } from './endpoints.ts'

const rows: [string, Endpoint][] = Object.entries(ENDPOINTS)
const sample: Endpoint = {
  method: 'GET',
  path: '/x',
  summary: 'x',
  tag: 'x',
  access: 'agent:read',
  status: 204,
  errors: [],
}

test('the table is seen', () => expect(rows.length).toBeGreaterThan(30))

describe('every endpoint', () => {
  test('names a permission, or says public with a reason', () => {
    expect(rows.flatMap(([name, row]) => accessProblems(name, row))).toEqual([])
    expect(accessProblems('x', { ...sample, access: { public: 'yes' } })).toHaveLength(1)
    expect(accessProblems('x', { ...sample, access: 'cake:eat' as 'agent:read' })).toHaveLength(1)
  })

  test('answers only errors of the table', () => {
    expect(rows.flatMap(([name, row]) => errorProblems(name, row))).toEqual([])
    expect(errorProblems('x', { ...sample, errors: ['NO_SUCH' as 'NOT_FOUND'] })).toHaveLength(1)
  })

  test('bounds every string and every array that it takes', () => {
    const taken = rows.flatMap(([name, row]) =>
      (['params', 'query', 'body'] as const).flatMap(part => {
        const type = row[part]
        return type ? [[`${name}.${part}`, type] as const] : []
      }),
    )
    expect(taken.length).toBeGreaterThan(40)
    expect(taken.flatMap(([name, type]) => unboundedParts(name, type))).toEqual([])
  })

  test('and a string or array without a bound is found wherever it hides', () => {
    const loose = z.object({
      a: z.array(z.string().max(5)),
      b: z.object({ c: z.string().optional() }).nullable(),
    })
    expect(unboundedParts('x', loose)).toEqual([
      'x.a: an array without maxItems',
      'x.b.anyOf.c: a string without maxLength',
    ])
    expect(unboundedParts('x', z.record(z.string(), z.string().max(3)))).toEqual([
      'x.propertyNames: a string without maxLength',
    ])
    expect(unboundedParts('x', z.string().regex(/^v\d{1,3}$/))).toEqual([])
  })

  test('is in the OpenAPI document, and nothing else is', () => {
    const { paths } = openApiDocument('1.0.0') as { paths: Record<string, Record<string, unknown>> }
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(method => `${method.toUpperCase()} ${path.replace(BASE_PATH, '')}`),
    )
    expect(documented.sort()).toEqual(rows.map(([, row]) => `${row.method} ${row.path}`).sort())
  })
})
