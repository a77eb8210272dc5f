import { z } from 'zod'
import { id } from '../values.ts'

/** Who did something: a principal's id with its type. `system` is the master itself. */
export const Principal = z.object({ type: z.enum(['user', 'api_key', 'agent', 'system']), id: id.nullable() })
export type Principal = z.infer<typeof Principal>
