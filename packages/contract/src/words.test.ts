import { expect, test } from 'bun:test'
import { z } from 'zod'
import { auditEndpoints } from './endpoints/audit.ts'
import { roleRef } from './entities/roles.ts'
import { validationError } from './validation.ts'
import * as values from './values.ts'

/** What the API says of a value, by field. */
function said(schema: z.ZodType, value: unknown): Record<string, string> {
  const parsed = schema.safeParse(value)
  if (parsed.success) throw new Error('it was taken')
  return Object.fromEntries(validationError(parsed.error).details.map(one => [one.field, one.message]))
}

test('a field that is missing is said to be missing, whatever it must be', () => {
  const schema = z.strictObject({
    name: values.name,
    id: values.id,
    slug: values.slug,
    email: values.email,
    role: roleRef,
    count: z.int(),
    list: z.array(values.id),
  })
  const fields = ['name', 'id', 'slug', 'email', 'role', 'count', 'list']
  expect(said(schema, {})).toEqual(Object.fromEntries(fields.map(one => [one, 'is missing'])))
})

test('a value of another kind or size is told what it must be, in words', () => {
  const schema = z.strictObject({
    name: z.string(),
    id: values.id.nullable(),
    port: z.int().max(65_535),
    password: values.password,
    list: z.array(z.string()).max(1),
    inner: z.strictObject({}),
    state: z.enum(['active', 'disabled']),
  })
  expect(
    said(schema, {
      name: 5,
      id: 'x',
      port: 70_000,
      password: 'short',
      list: ['a', 'b'],
      inner: [],
      state: 'on',
    }),
  ).toEqual({
    name: 'must be a string',
    id: 'must be a UUID',
    port: 'must be at most 65535',
    password: 'must have at least 12 characters',
    list: 'must have at most 1 entry',
    inner: 'must be an object',
    state: 'must be one of active, disabled',
  })
})

test('where a name or an id may stand, the error names both', () => {
  expect(said(z.object({ role: roleRef }), { role: 'auditor' })).toEqual({
    role: 'must be one of instance_admin, owner, admin, operator, deployer, viewer, or must be a UUID',
  })
})

test('a time that is none is complained of once', () => {
  const { query } = auditEndpoints.audit_log_list
  expect(said(query, { to: 'yesterday' })).toEqual({
    to: 'must be a date and time such as 2030-01-31T12:00:00Z',
  })
  expect(said(query, { to: '9999-12-31T23:59:59-23:00' })).toEqual({ to: 'lies too far away' })
})
