import { z } from 'zod'
import { AUDIT_DOORS, AUDIT_RESULTS, AuditEntry } from '../entities/audit.ts'
import { PRINCIPAL_TYPES } from '../entities/common.ts'
import { list, PageMeta, PageQuery } from '../envelope.ts'
import { LIMITS } from '../limits.ts'
import { id } from '../values.ts'
import { endpoint } from './endpoint.ts'

const LAST_YEAR = 9_999
/** With an offset or in UTC; within the years that are written with four digits, because rows are compared as text. */
const instant = z.iso
  .datetime({ offset: true })
  .max(LIMITS.time_chars)
  .refine(value => !(new Date(value).getUTCFullYear() > LAST_YEAR), 'lies too far away')

const AuditQuery = PageQuery.extend({
  workspace_id: id.optional(),
  organization_id: id.optional(),
  action: z
    .string()
    .max(LIMITS.audit_word_chars)
    .regex(/^[a-z0-9_]+(\.[a-z0-9_]*)?$/, 'must be noun.verb, or noun. for all of a noun')
    .describe('`agent.delete`, or `agent.` for everything that begins so')
    .optional(),
  principal_type: z.enum(PRINCIPAL_TYPES).optional(),
  principal_id: id.optional(),
  object_type: z.string().min(1).max(LIMITS.audit_word_chars).optional(),
  object_id: z.string().min(1).max(LIMITS.audit_object_id_chars).optional(),
  door: z.enum(AUDIT_DOORS).optional(),
  result: z.enum(AUDIT_RESULTS).optional(),
  from: instant.describe('RFC 3339; rows at or after it').optional(),
  to: instant.describe('RFC 3339; rows before it').optional(),
  ip_address: z.string().min(1).max(LIMITS.ip_address_chars).optional(),
})

const total = z
  .int()
  .describe(
    `All rows that you may see and the filter admits; with a filter, or for who may not see all rows, counted up to ${LIMITS.audit_rows_counted} only. Older ones are reached with \`to\`.`,
  )

export const auditEndpoints = {
  audit_log_list: endpoint({
    method: 'GET',
    path: '/audit-log',
    summary: 'Who did what, newest first',
    tag: 'Audit',
    access: 'audit:read',
    query: AuditQuery,
    response: list(AuditEntry).extend({ meta: PageMeta.extend({ total }) }),
    status: 200,
    errors: ['UNAUTHENTICATED', 'FORBIDDEN', 'NOT_FOUND'],
  }),
}
