import { z } from 'zod'
import { id, time } from '../values.ts'
import { Principal } from './common.ts'

export const AuditEntry = z.object({
  id,
  sequence: z.int(),
  at: time,
  principal: Principal,
  action: z.string().describe('noun.verb, e.g. `virtual_host.update`'),
  object_type: z.string(),
  object_id: z.string().nullable(),
  organization_id: id.nullable(),
  workspace_id: id.nullable(),
  door: z.enum(['rest', 'channel', 'system', 'setup']),
  ip_address: z.string().nullable(),
  result: z.enum(['ok', 'refused', 'failed']),
  before: z.unknown(),
  after: z.unknown(),
  hash: z.string().describe('SHA-256 over the hash before and this row'),
})
export type AuditEntry = z.infer<typeof AuditEntry>
