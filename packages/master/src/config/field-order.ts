import { z } from 'zod'

/** Gives a value its fields in the order of a schema, all the way down; what the schema does not know stays behind them. */
export type Arrange = (value: unknown) => unknown

/**
 * Data is stored as canonical JSON, whose keys are in alphabetical order; people read it in the order in which its schema
 * tells it. Nothing is validated, and nothing left out: what an older master stored is shown as it is.
 */
export function arrangeBy(schema: z.ZodType): Arrange {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodArray) {
    const arrange = arrangeBy(inner.element as z.ZodType)
    return value => (Array.isArray(value) ? value.map(arrange) : value)
  }
  if (!(inner instanceof z.ZodObject)) return value => value
  const fields = Object.entries(inner.shape as Record<string, z.ZodType>).map(
    ([name, field]) => [name, arrangeBy(field)] as const,
  )
  return value => (isRecord(value) ? { ...picked(fields, value), ...unknownOf(inner.shape, value) } : value)
}

function unwrapped(schema: z.ZodType): z.ZodType {
  const wraps =
    schema instanceof z.ZodDefault || schema instanceof z.ZodNullable || schema instanceof z.ZodOptional
  return wraps ? unwrapped(schema.unwrap() as z.ZodType) : schema
}

type Fields = readonly (readonly [string, Arrange])[]

function picked(fields: Fields, value: Record<string, unknown>): Record<string, unknown> {
  const arranged: Record<string, unknown> = {}
  for (const [name, arrange] of fields) if (Object.hasOwn(value, name)) arranged[name] = arrange(value[name])
  return arranged
}

function unknownOf(shape: object, value: Record<string, unknown>): Record<string, unknown> {
  const rest: Record<string, unknown> = {}
  for (const name in value) if (!Object.hasOwn(shape, name)) rest[name] = value[name]
  return rest
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
