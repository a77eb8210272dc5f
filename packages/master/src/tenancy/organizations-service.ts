import type { Access } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Database } from '../database/database.ts'
import { sliceOf } from '../http/page.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Organizations } from './tenancy.ts'
import { noOrganization, organizationOf, refuseFull, refuseInUse, refuseTakenSlug } from './tenancy-rules.ts'
import {
  countOrganizations,
  countWorkspaces,
  deleteOrganization,
  insertOrganization,
  listOrganizations,
  listWorkspaces,
  type OrganizationRow,
  organizationById,
  organizationBySlug,
  renameOrganization,
} from './tenancy-store.ts'

export interface OrganizationsDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly now: () => Date
  readonly newId: () => string
}

const INSTANCE = { type: 'instance' } as const
const scopeOf = (organization_id: string) => ({ type: 'organization', organization_id }) as const
const eventOf = (action: string, id: string) => ({
  action: `organization.${action}`,
  object_type: 'organization',
  object_id: id,
  organization_id: id,
})

export function makeOrganizations({ database, audit, access, now, newId }: OrganizationsDeps): Organizations {
  return {
    async list(caller, query) {
      access.require(caller, 'organization:read', INSTANCE)
      const [rows, total] = await Promise.all([
        listOrganizations(database.read, sliceOf(query)),
        countOrganizations(database.read),
      ])
      return { items: rows.map(organizationOf), total }
    },

    async get(caller, id) {
      access.require(caller, 'organization:read', scopeOf(id))
      const row = await organizationById(database.read, id)
      if (!row) throw noOrganization()
      return organizationOf(row)
    },

    async create(caller, { name, slug }) {
      access.require(caller, 'organization:write', INSTANCE)
      return await database.write(async tx => {
        refuseTakenSlug('organization', slug, await organizationBySlug(tx, slug), null)
        refuseFull('organizations', await countOrganizations(tx), MASTER_LIMITS.organizations)
        const row: OrganizationRow = {
          id: newId(),
          name,
          slug,
          settings_json: '{}',
          created_at: now().toISOString(),
        }
        await insertOrganization(tx, row)
        const after = organizationOf(row)
        await audit.append(tx, caller, { ...eventOf('create', row.id), after })
        return after
      })
    },

    async update(caller, id, patch) {
      access.require(caller, 'organization:write', scopeOf(id))
      return await database.write(async tx => {
        const row = await organizationById(tx, id)
        if (!row) throw noOrganization()
        const before = organizationOf(row)
        const after = { ...before, name: patch.name ?? before.name, slug: patch.slug ?? before.slug }
        if (after.name === before.name && after.slug === before.slug) return before
        refuseTakenSlug('organization', after.slug, await organizationBySlug(tx, after.slug), id)
        await renameOrganization(tx, id, { name: after.name, slug: after.slug })
        await audit.append(tx, caller, { ...eventOf('update', id), before, after })
        return after
      })
    },

    async remove(caller, id) {
      access.require(caller, 'organization:delete', scopeOf(id))
      await database.write(async tx => {
        const row = await organizationById(tx, id)
        if (!row) throw noOrganization()
        const inside = await listWorkspaces(tx, id, { limit: 20, offset: 0 })
        const details = inside.map(one => ({ field: 'workspaces', message: `${one.name} (${one.id})` }))
        refuseInUse('organization', details, await countWorkspaces(tx, id))
        await deleteOrganization(tx, id)
        await audit.append(tx, caller, { ...eventOf('delete', id), before: organizationOf(row) })
      })
    },
  }
}
