import { ERRORS, PERMISSIONS } from '@nxmesh/contract'
import type { Endpoint } from '@nxmesh/contract/endpoints/endpoint'
import { z } from 'zod'

/** What every row of the endpoint table must keep. */

const REASON_CHARS_MIN = 20

/** Who may call is said: a permission of the table, any account, or everyone for a reason that is a sentence. */
export function accessProblems(name: string, { access }: Endpoint): string[] {
  if (access === 'authenticated') return []
  if (typeof access === 'string')
    return (PERMISSIONS as readonly string[]).includes(access) ? [] : [`${name}: no permission ${access}`]
  return access.public.length >= REASON_CHARS_MIN ? [] : [`${name}: public needs a reason`]
}

export const errorProblems = (name: string, { errors }: Endpoint): string[] =>
  errors.filter(code => !Object.hasOwn(ERRORS, code)).map(code => `${name}: no error ${code}`)

type Schema = { readonly [key: string]: unknown }
const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null

/** Strings without a bound on their length, arrays without one on their items, objects that take any field. */
export function unboundedParts(name: string, type: z.ZodType): string[] {
  const schema = z.toJSONSchema(type, { io: 'input', unrepresentable: 'any' }) as Schema
  return partsOf(schema, name, schema)
}

function partsOf(part: Schema, at: string, root: Schema): string[] {
  if (typeof part.$ref === 'string') return partsOf(referred(part.$ref, root), at, root)
  const own = problemOf(part)
  return [
    ...(own ? [`${at}: ${own}`] : []),
    ...children(part).flatMap(([key, child]) => partsOf(child, `${at}.${key}`, root)),
  ]
}

const FORMATS = new Set(['uuid', 'date-time', 'ipv4', 'ipv6'])

function problemOf(part: Schema): string | null {
  if (part.type === 'string') {
    const closed = part.enum !== undefined || part.const !== undefined || FORMATS.has(String(part.format))
    return closed || typeof part.maxLength === 'number' || boundedPattern(part.pattern)
      ? null
      : 'a string without maxLength'
  }
  if (part.type === 'array') return typeof part.maxItems === 'number' ? null : 'an array without maxItems'
  return null
}

/** A pattern that is anchored and repeats nothing without an upper count bounds the length as well. */
const boundedPattern = (pattern: unknown): boolean =>
  typeof pattern === 'string' &&
  pattern.startsWith('^') &&
  pattern.endsWith('$') &&
  !/[*+]|\{\d+,\}/.test(pattern)

function children(part: Schema): [string, Schema][] {
  const named = Object.entries(isSchema(part.properties) ? part.properties : {})
  const listed = ['anyOf', 'oneOf', 'allOf', 'prefixItems'].flatMap(key =>
    Array.isArray(part[key]) ? (part[key] as unknown[]).map(one => [key, one] as const) : [],
  )
  const single = ['items', 'additionalProperties', 'propertyNames', 'not'].map(
    key => [key, part[key]] as const,
  )
  return [...named, ...listed, ...single].filter((pair): pair is [string, Schema] => isSchema(pair[1]))
}

function referred(ref: string, root: Schema): Schema {
  const found = ref
    .replace(/^#\/?/, '')
    .split('/')
    .filter(Boolean)
    .reduce<unknown>((at, key) => (isSchema(at) ? at[key] : undefined), root)
  if (!isSchema(found)) throw new Error(`the schema refers to ${ref}, which is not there`)
  return found
}
