import { z } from 'zod'

/** Gives a value its fields in the order of a schema, all the way down; what the schema does not know stays behind them. */
export type Arrange = (value: unknown) => unknown

/**
 * Data is stored as canonical JSON, whose keys are in alphabetical order; people read it in the order in which its schema
 * tells it. Nothing is validated, and nothing left out: what an older master stored is shown as it is.
 */
export function arrangeBy(schema: z.ZodType): Arrange {
  return arranger(schema) ?? (value => value)
}

/** Null where there is nothing to arrange; most fields are such, and every read passes here. */
function arranger(schema: z.ZodType): Arrange | null {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodArray) {
    const arrange = arranger(inner.element as z.ZodType)
    return arrange && (value => (Array.isArray(value) ? value.map(arrange) : value))
  }
  if (!(inner instanceof z.ZodObject)) return null
  const fields = Object.entries(inner.shape as Record<string, z.ZodType>).map(
    ([name, field]) => [name, arranger(field)] as const,
  )
  return value => (isRecord(value) ? ordered(fields, value) : value)
}

function unwrapped(schema: z.ZodType): z.ZodType {
  const wraps =
    schema instanceof z.ZodDefault || schema instanceof z.ZodNullable || schema instanceof z.ZodOptional
  return wraps ? unwrapped(schema.unwrap() as z.ZodType) : schema
}

type Fields = readonly (readonly [string, Arrange | null])[]

function ordered(fields: Fields, value: Record<string, unknown>): Record<string, unknown> {
  const arranged: Record<string, unknown> = {}
  let known = 0
  for (const [name, arrange] of fields) {
    if (!Object.hasOwn(value, name)) continue
    arranged[name] = arrange === null ? value[name] : arrange(value[name])
    known++
  }
  const names = Object.keys(value)
  if (known < names.length)
    for (const name of names) if (!Object.hasOwn(arranged, name)) arranged[name] = value[name]
  return arranged
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
