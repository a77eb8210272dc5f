import type { Access, Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
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
  /** Gives whoever makes an organization the role that keeps it, in the same transaction. */
  readonly own: (tx: Tx, caller: Caller, organization_id: string) => Promise<void>
}

const INSTANCE = { type: 'instance' } as const
const scopeOf = (organization_id: string) => ({ type: 'organization', organization_id }) as const
const eventOf = (action: string, id: string) => ({
  action: `organization.${action}`,
  object_type: 'organization',
  object_id: id,
  organization_id: id,
})

/** Null: all of them. A workspace's grant shows the organization that the workspace belongs to. */
async function visibleOrganizations(access: Access, caller: Caller): Promise<readonly string[] | null> {
  const { everything } = await access.reach(caller, 'organization:read')
  if (everything) return null
  const having = caller.grants.filter(one => one.permissions.has('organization:read'))
  return [...new Set(having.flatMap(one => one.organization_id ?? []))]
}

export function makeOrganizations(deps: OrganizationsDeps): Organizations {
  const { database, audit, access, now, newId } = deps
  return {
    async list(caller, query) {
      const within = await visibleOrganizations(access, caller)
      const [rows, total] = await Promise.all([
        listOrganizations(database.read, within, sliceOf(query)),
        countOrganizations(database.read, within),
      ])
      return { items: rows.map(organizationOf), total }
    },

    async get(caller, id) {
      await access.require(caller, 'organization:read', scopeOf(id))
      const row = await organizationById(database.read, id)
      if (!row) throw noOrganization()
      return organizationOf(row)
    },

    async create(caller, { name, slug }) {
      await access.require(caller, 'organization:write', INSTANCE)
      return await database.write(async tx => {
        refuseTakenSlug('organization', slug, await organizationBySlug(tx, slug), null)
        refuseFull('organizations', await countOrganizations(tx, null), MASTER_LIMITS.organizations)
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
        await deps.own(tx, caller, row.id)
        return after
      })
    },

    async update(caller, id, patch) {
      await access.require(caller, 'organization:write', scopeOf(id))
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
      await access.require(caller, 'organization:delete', scopeOf(id))
      await database.write(async tx => {
        const row = await organizationById(tx, id)
        if (!row) throw noOrganization()
        const filter = { organization_id: id, reach: null }
        const inside = await listWorkspaces(tx, filter, { limit: 20, offset: 0 })
        const details = inside.map(one => ({ field: 'workspaces', message: `${one.name} (${one.id})` }))
        refuseInUse('organization', details, await countWorkspaces(tx, filter))
        await deleteOrganization(tx, id)
        await audit.append(tx, caller, { ...eventOf('delete', id), before: organizationOf(row) })
      })
    },
  }
}
