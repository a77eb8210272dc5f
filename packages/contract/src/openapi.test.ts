import { describe, expect, test } from 'bun:test'
import { BASE_PATH, COMMON_ERRORS, type Endpoint } from './endpoints/endpoint.ts'
import { ENDPOINTS } from './endpoints/table.ts'
import { ERRORS } from './errors.ts'
import { openApiDocument } from './openapi.ts'

interface Operation {
  operationId: string
  tags: string[]
  security: object[]
  parameters: { name: string; in: string; required: boolean; schema: Schema }[]
  requestBody?: { content: { 'application/json': { schema: Schema } } }
  responses: Record<string, { description: string; headers: object; content?: object }>
}
type Schema = { [key: string]: unknown }

const document = openApiDocument('1.2.3') as {
  info: { version: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}
const operations = Object.values(document.paths).flatMap(methods => Object.values(methods))
const rows: [string, Endpoint][] = Object.entries(ENDPOINTS)
const operationOf = (id: string, row: Endpoint) => {
  const found = document.paths[BASE_PATH + row.path]?.[row.method.toLowerCase()]
  if (found?.operationId !== id) throw new Error(`${id} is not in the document`)
  return found
}

/** Every object inside a value, with its path. */
function* inside(value: unknown, path = '#'): Generator<[string, Schema]> {
  if (value === null || typeof value !== 'object') return
  if (!Array.isArray(value)) yield [path, value as Schema]
  for (const [key, one] of Object.entries(value)) yield* inside(one, `${path}/${key}`)
}

describe('the OpenAPI document', () => {
  test('has every endpoint and nothing else', () => {
    expect(rows.length).toBeGreaterThan(30)
    expect(operations.map(one => one.operationId).sort()).toEqual(rows.map(([id]) => id).sort())
    expect(document.info.version).toBe('1.2.3')
  })

  test('points only to what is there', () => {
    const references = [...inside(document)].flatMap(([, one]) =>
      typeof one.$ref === 'string' ? [one.$ref] : [],
    )
    expect(references.length).toBeGreaterThan(100)
    for (const reference of references) {
      const found = reference
        .replace('#/', '')
        .split('/')
        .reduce<unknown>((place, key) => (place as Schema | undefined)?.[key], document)
      expect([reference, typeof found]).toEqual([reference, 'object'])
    }
  })

  test('says who may call: everyone, or with credentials', () => {
    for (const [id, row] of rows)
      expect([id, operationOf(id, row).security]).toEqual([
        id,
        typeof row.access === 'string' ? [{ bearer: [] }] : [],
      ])
  })

  test('lists each error that an endpoint may answer, under its status', () => {
    for (const [id, row] of rows)
      for (const code of [...row.errors, ...COMMON_ERRORS])
        expect([id, operationOf(id, row).responses[ERRORS[code].status]?.description]).toEqual([
          id,
          expect.stringContaining(`\`${code}\``),
        ])
  })

  test('names every parameter of the path', () => {
    for (const [id, row] of rows) {
      const written = [...row.path.matchAll(/\{(\w+)\}/g)].map(one => one[1])
      const named = operationOf(id, row).parameters.filter(one => one.in === 'path')
      expect([id, named.map(one => one.name)]).toEqual([id, written as string[]])
      expect(named.every(one => one.required)).toBe(true)
    }
  })

  test('tells of ETag, If-Match and Idempotency-Key where they work', () => {
    const headers = (id: string, row: Endpoint) =>
      operationOf(id, row).parameters.flatMap(one => (one.in === 'header' ? [one.name] : []))
    expect(headers('virtual_hosts_update', ENDPOINTS.virtual_hosts_update)).toEqual(['If-Match'])
    expect(headers('virtual_hosts_create', ENDPOINTS.virtual_hosts_create)).toEqual(['Idempotency-Key'])
    expect(headers('login', ENDPOINTS.login)).toEqual([])
    expect(operationOf('upstreams_get', ENDPOINTS.upstreams_get).responses['200']?.headers).toHaveProperty(
      'ETag',
    )
  })

  test('bounds every string, array and map that a request may carry', () => {
    let seen = 0
    for (const one of operations) {
      const asked = [
        one.requestBody?.content['application/json'].schema,
        ...one.parameters.map(field => field.schema),
      ]
      for (const [path, schema] of asked.flatMap(schema => [...inside(schema, one.operationId)])) {
        const known =
          'enum' in schema || 'const' in schema || ['uuid', 'email'].includes(String(schema.format))
        if (schema.type === 'string' && !known) {
          seen++
          expect([path, typeof schema.maxLength]).toEqual([path, 'number'])
        }
        if (schema.type === 'array') expect([path, typeof schema.maxItems]).toEqual([path, 'number'])
        if (schema.type === 'object' && schema.propertyNames === undefined)
          expect([path, schema.additionalProperties]).toEqual([path, false])
      }
    }
    expect(seen).toBeGreaterThan(50)
  })

  test('no field is left without a type', () => {
    for (const [path, schema] of inside(document))
      if (path.endsWith('/properties'))
        // What was before and after a change can be anything.
        for (const [name, field] of Object.entries(schema) as [string, Schema][])
          if (!['before', 'after'].includes(name))
            expect([path, name, Object.keys(field)]).not.toEqual([path, name, []])
  })

  test('a normalized field looks as it is written, one that is not built is null', () => {
    const { properties } = document.components.schemas.VirtualHost as { properties: Record<string, Schema> }
    expect(properties.server_name).toMatchObject({ type: 'string', maxLength: 4_000 })
    const upstream = document.components.schemas.Upstream as {
      properties: Record<string, Schema>
      required: string[]
    }
    expect(upstream.properties.health_check).toMatchObject({ type: 'null' })
    expect(upstream.required).toContain('algorithm')
  })
})
