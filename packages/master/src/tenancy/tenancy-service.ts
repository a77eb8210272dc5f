import type { AuditLog } from '../audit/audit.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Tenancy } from './tenancy.ts'
import {
  noWorkspace,
  organizationEvent,
  organizationOf,
  workspaceEvent,
  workspaceOf,
} from './tenancy-rules.ts'
import {
  insertOrganization,
  insertWorkspace,
  listOrganizations,
  lockWorkspaceRow,
  raiseGeneration,
  raiseReleaseNumber,
  workspaceById,
} from './tenancy-store.ts'
import { newWorkspace } from './workspaces-service.ts'

export interface TenancyDeps {
  readonly audit: AuditLog
  readonly now: () => Date
  readonly newId: () => string
}

const FIRST = { name: 'default', slug: 'default' } as const

function found<T>(row: T | undefined): T {
  if (row === undefined) throw noWorkspace()
  return row
}

export function makeTenancy({ audit, now, newId }: TenancyDeps): Tenancy {
  return {
    workspaceOf: async (db, id) => workspaceOf(found(await workspaceById(db, id))),
    lockWorkspace: async (tx, id) => workspaceOf(found(await lockWorkspaceRow(tx, id))),
    nextGeneration: async (tx, id) => found(await raiseGeneration(tx, id)),
    nextReleaseNumber: async (tx, id) => found(await raiseReleaseNumber(tx, id)).release_number,

    async ensureFirst(tx, caller) {
      const present = await listOrganizations(tx, null, { limit: MASTER_LIMITS.organizations, offset: 0 })
      if (present.length > 0) return present.map(row => row.id)
      const created_at = now().toISOString()
      const organization = { ...FIRST, id: newId(), settings_json: '{}', created_at, deleted_at: null }
      const workspace = newWorkspace({ ...FIRST, id: newId(), organization_id: organization.id, created_at })
      await insertOrganization(tx, organization)
      await insertWorkspace(tx, workspace)
      await audit.append(tx, caller, {
        ...organizationEvent('create', organization.id),
        after: organizationOf(organization),
      })
      await audit.append(tx, caller, {
        ...workspaceEvent('create', workspace),
        after: workspaceOf(workspace),
      })
      return [organization.id]
    },
  }
}
