import { z } from 'zod'
import { id } from '../values.ts'

export const PRINCIPAL_TYPES = ['user', 'api_key', 'agent', 'system'] as const

/** Who did something: a principal's id with its type. `system` is the master itself. */
export const Principal = z.object({ type: z.enum(PRINCIPAL_TYPES), id: id.nullable() })
export type Principal = z.infer<typeof Principal>
