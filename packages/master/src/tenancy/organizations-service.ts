import type { Access, Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database, Queryable, Tx } from '../database/database.ts'
import { totalOf } from '../database/slice.ts'
import { sliceOf } from '../http/page.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Deletion } from './deletion.ts'
import { requireConfirmed } from './deletion-rules.ts'
import type { PlaceIndex } from './places.ts'
import { requireSound } from './settings-rules.ts'
import type { Organizations } from './tenancy.ts'
import {
  noOrganization,
  organizationEvent,
  organizationOf,
  refuseFull,
  refuseTaken,
} from './tenancy-rules.ts'
import {
  countOrganizations,
  insertOrganization,
  listOrganizations,
  listWorkspaces,
  type OrganizationRow,
  organizationById,
  organizationBySlug,
  updateOrganization,
  workspaceIds,
} from './tenancy-store.ts'

export interface OrganizationsDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly places: PlaceIndex
  readonly deletion: Deletion
  readonly now: () => Date
  readonly newId: () => string
  /** Gives whoever makes an organization the role that keeps it, in the same transaction. */
  readonly own: (tx: Tx, caller: Caller, organization_id: string) => Promise<void>
}

const EVERY_WORKSPACE = MASTER_LIMITS.workspaces_per_organization
const workspacesIn = (db: Queryable, organization_id: string) =>
  listWorkspaces(db, { organization_id, reach: null }, { limit: EVERY_WORKSPACE, offset: 0 })

const INSTANCE = { type: 'instance' } as const
const scopeOf = (organization_id: string) => ({ type: 'organization', organization_id }) as const

/** Null: all of them. A workspace's grant shows the organization that the workspace belongs to. */
async function visibleOrganizations(access: Access, caller: Caller): Promise<readonly string[] | null> {
  const { everything } = await access.reach(caller, 'organization:read')
  if (everything) return null
  const having = caller.grants.filter(one => one.permissions.has('organization:read'))
  return [...new Set(having.flatMap(one => one.organization_id ?? []))]
}

export function makeOrganizations(deps: OrganizationsDeps): Organizations {
  const { database, audit, access, deletion, now, newId } = deps

  const inside = async (organization_id: string) => {
    const workspaces = await workspacesIn(database.read, organization_id)
    const workspace_ids = workspaces.map(one => one.id)
    return {
      workspaces,
      contents: await deletion.contentsOf(database.read, { organization_id, workspace_ids }),
    }
  }
  return {
    async list(caller, query) {
      const within = await visibleOrganizations(access, caller)
      const slice = sliceOf(query)
      const rows = await listOrganizations(database.read, within, slice)
      const total = await totalOf(slice, rows.length, () => countOrganizations(database.read, within))
      return { items: rows.map(organizationOf), total }
    },

    async get(caller, id) {
      await access.require(caller, 'organization:read', scopeOf(id))
      const row = await organizationById(database.read, id)
      if (!row) throw noOrganization()
      return organizationOf(row)
    },

    async create(caller, { name, slug, settings = { cross_workspace_reads: [] } }) {
      await access.require(caller, 'organization:write', INSTANCE)
      requireSound(settings, new Set())
      return await database.write(async tx => {
        refuseTaken('organization', 'slug', slug, await organizationBySlug(tx, slug), null)
        refuseFull('organizations', await countOrganizations(tx, null), MASTER_LIMITS.organizations)
        const row: OrganizationRow = {
          id: newId(),
          name,
          slug,
          settings_json: JSON.stringify(settings),
          created_at: now().toISOString(),
          deleted_at: null,
        }
        await insertOrganization(tx, row)
        const after = organizationOf(row)
        await audit.append(tx, caller, { ...organizationEvent('create', row.id), after })
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
        const settings = {
          cross_workspace_reads:
            patch.settings?.cross_workspace_reads ?? before.settings.cross_workspace_reads,
        }
        const after = {
          ...before,
          name: patch.name ?? before.name,
          slug: patch.slug ?? before.slug,
          settings,
        }
        if (JSON.stringify(after) === JSON.stringify(before)) return before
        refuseTaken('organization', 'slug', after.slug, await organizationBySlug(tx, after.slug), id)
        if (patch.settings) requireSound(settings, new Set(await workspaceIds(tx, [id], EVERY_WORKSPACE)))
        const { name, slug } = after
        await updateOrganization(tx, id, { name, slug, settings_json: JSON.stringify(settings) })
        await audit.append(tx, caller, { ...organizationEvent('update', id), before, after })
        afterCommit(tx, () => deps.places.forgetOrganization(id))
        return after
      })
    },

    async remove(caller, id, confirm) {
      await access.require(caller, 'organization:delete', scopeOf(id))
      const seen = await organizationById(database.read, id)
      if (!seen) throw noOrganization()
      const present = await inside(id)
      requireConfirmed('organization', seen, confirm, present)
      await database.write(async tx => {
        const row = await organizationById(tx, id)
        if (!row) throw noOrganization()
        // Renamed in between: what was confirmed is another slug.
        requireConfirmed('organization', row, confirm, present)
        await deletion.organization(tx, caller, row, await workspacesIn(tx, id), present.contents)
      })
    },
  }
}
