import { page } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { AuditReader } from './audit-service.ts'

export function auditRoutes(audit: AuditReader): RoutesOf<'audit_log_list'> {
  return {
    audit_log_list: async ({ caller, query, url }) => ({
      body: page(query, await audit.list(caller, query), url),
    }),
  }
}
