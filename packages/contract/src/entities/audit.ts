import { z } from 'zod'
import { id, time } from '../values.ts'
import { Principal } from './common.ts'

/** Through what a change came in: `command` is a command line beside the master, `system` the master by itself. */
export const AUDIT_DOORS = ['rest', 'events', 'channel', 'system', 'setup', 'command'] as const
export const AUDIT_RESULTS = ['ok', 'refused', 'failed'] as const

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
  door: z.enum(AUDIT_DOORS),
  ip_address: z.string().nullable(),
  result: z.enum(AUDIT_RESULTS),
  before: z.unknown().describe('Secrets are masked'),
  after: z.unknown(),
  hash: z.string().describe('SHA-256 over the hash before and this row'),
})
export type AuditEntry = z.infer<typeof AuditEntry>
