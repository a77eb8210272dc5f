import { z } from 'zod'
import { id, name, time } from '../values.ts'
import { Principal } from './common.ts'
import { ScopeInput, ScopeOutput } from './roles.ts'

/** A key of a service account: it has a role and a place of its own, and outlives whoever made it. */
export const ApiKey = ScopeOutput.extend({
  id,
  name: z.string(),
  prefix: z.string().describe('The first characters of the key, to tell keys apart'),
  created_by: Principal,
  created_at: time,
  expires_at: time.nullable(),
  last_used_at: time.nullable(),
})
export type ApiKey = z.infer<typeof ApiKey>
export const ApiKeyCreated = ApiKey.extend({ key: z.string().describe('Shown once, stored hashed') })
export const ApiKeyCreate = ScopeInput.extend({
  name,
  expires_at: z.iso.datetime().max(40).nullable().optional(),
})
