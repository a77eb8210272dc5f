import { z } from 'zod'
import { PageQuery } from '../envelope.ts'
import { LIMITS } from '../limits.ts'
import { id } from '../values.ts'

export const IdParams = z.strictObject({ id })

/** Lists of what belongs to a workspace. */
export const WorkspaceQuery = PageQuery.extend({ workspace_id: id.optional() })

/** `wait=applied` holds the answer until the deployment ends, at most `timeout_s`. */
export const WaitQuery = z.strictObject({
  wait: z.literal('applied').optional(),
  timeout_s: z.coerce.number().int().min(1).max(LIMITS.wait_max_s).default(LIMITS.wait_default_s),
})
