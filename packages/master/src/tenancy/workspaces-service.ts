import { seesOrganization } from '../access/access-rules.ts'
import type { Access, Scope } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Queryable } from '../database/database.ts'
import { sliceOf } from '../http/page.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { WorkspaceChange, Workspaces, WorkspaceUsage } from './tenancy.ts'
import {
  cidrsJson,
  cidrsOf,
  noOrganization,
  noWorkspace,
  refuseFull,
  refuseInUse,
  refuseTakenSlug,
  workspaceOf,
} from './tenancy-rules.ts'
import {
  countWorkspaces,
  deleteWorkspace,
  insertWorkspace,
  listWorkspaces,
  lockWorkspaceRow,
  organizationById,
  updateWorkspace,
  type WorkspaceRow,
  workspaceById,
  workspaceBySlug,
} from './tenancy-store.ts'

export interface WorkspacesDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly now: () => Date
  readonly newId: () => string
  readonly usages: readonly WorkspaceUsage[]
  /** After the commit of another `agent_allowed_cidrs`, and after a deletion. */
  readonly originsChanged: (workspace_id: string, cidrs: readonly string[] | null) => void
}

const organizationScope = (organization_id: string): Scope => ({ type: 'organization', organization_id })
const scopeOf = (workspace_id: string): Scope => ({ type: 'workspace', workspace_id })
const eventOf = (action: string, row: { id: string; organization_id: string }) => ({
  action: `workspace.${action}`,
  object_type: 'workspace',
  object_id: row.id,
  organization_id: row.organization_id,
  workspace_id: row.id,
})

export function makeWorkspaces(deps: WorkspacesDeps): Workspaces {
  const { database, audit, access, now, newId, usages } = deps

  return {
    async list(caller, { organization_id, ...query }) {
      if (organization_id !== undefined) {
        if (!seesOrganization(caller.grants, organization_id)) throw noOrganization()
        await requireOrganization(database.read, organization_id)
      }
      const reach = await access.reach(caller, 'workspace:read')
      const filter = { organization_id: organization_id ?? null, reach: reach.everything ? null : reach }
      const [rows, total] = await Promise.all([
        listWorkspaces(database.read, filter, sliceOf(query)),
        countWorkspaces(database.read, filter),
      ])
      return { items: rows.map(workspaceOf), total }
    },

    async get(caller, id) {
      await access.require(caller, 'workspace:read', scopeOf(id))
      const row = await workspaceById(database.read, id)
      if (!row) throw noWorkspace()
      return workspaceOf(row)
    },

    async create(caller, input) {
      const { organization_id, name, slug } = input
      await access.require(caller, 'workspace:write', organizationScope(organization_id))
      return await database.write(async tx => {
        await requireOrganization(tx, organization_id)
        refuseTakenSlug('workspace', slug, await workspaceBySlug(tx, organization_id, slug), null)
        const count = await countWorkspaces(tx, { organization_id, reach: null })
        refuseFull('workspaces in this organization', count, MASTER_LIMITS.workspaces_per_organization)
        const row = newWorkspace({
          id: newId(),
          organization_id,
          name,
          slug,
          agent_allowed_cidrs_json: cidrsJson(input.agent_allowed_cidrs ?? null),
          created_at: now().toISOString(),
        })
        await insertWorkspace(tx, row)
        const after = workspaceOf(row)
        await audit.append(tx, caller, { ...eventOf('create', row), after })
        return after
      })
    },

    async update(caller, id, patch) {
      await access.require(caller, 'workspace:write', scopeOf(id))
      const { after, moved } = await database.write(async tx => {
        const row = await workspaceById(tx, id)
        if (!row) throw noWorkspace()
        const changed = changedRow(row, patch)
        const [before, after] = [workspaceOf(row), workspaceOf(changed)]
        const moved = changed.agent_allowed_cidrs_json !== row.agent_allowed_cidrs_json
        if (after.name === before.name && after.slug === before.slug && !moved)
          return { after: before, moved }
        refuseTakenSlug(
          'workspace',
          after.slug,
          await workspaceBySlug(tx, row.organization_id, after.slug),
          id,
        )
        const { name, slug, agent_allowed_cidrs_json } = changed
        await updateWorkspace(tx, id, { name, slug, agent_allowed_cidrs_json })
        await audit.append(tx, caller, { ...eventOf('update', row), before, after })
        return { after, moved }
      })
      if (moved) deps.originsChanged(id, after.agent_allowed_cidrs)
      return after
    },

    async remove(caller, id) {
      await access.require(caller, 'workspace:delete', scopeOf(id))
      await database.write(async tx => {
        // The lock comes first: nothing may be put in while it is being looked at.
        const row = await lockWorkspaceRow(tx, id)
        if (!row) throw noWorkspace()
        for (const usage of usages) refuseInUse('workspace', await usage(tx, id))
        await deleteWorkspace(tx, id)
        await audit.append(tx, caller, { ...eventOf('delete', row), before: workspaceOf(row) })
      })
      deps.originsChanged(id, [])
    },
  }
}

async function requireOrganization(db: Queryable, id: string): Promise<void> {
  if (!(await organizationById(db, id))) throw noOrganization()
}

function changedRow(row: WorkspaceRow, patch: WorkspaceChange): WorkspaceRow {
  const cidrs = patch.agent_allowed_cidrs === undefined ? cidrsOf(row) : patch.agent_allowed_cidrs
  const agent_allowed_cidrs_json = cidrsJson(cidrs)
  return { ...row, name: patch.name ?? row.name, slug: patch.slug ?? row.slug, agent_allowed_cidrs_json }
}

type Named = Pick<WorkspaceRow, 'id' | 'organization_id' | 'name' | 'slug' | 'created_at'> &
  Partial<Pick<WorkspaceRow, 'agent_allowed_cidrs_json'>>

/** Epoch 1: zero is what an agent has that never had a plan. */
export const newWorkspace = (named: Named): WorkspaceRow => ({
  agent_allowed_cidrs_json: null,
  ...named,
  deploy_mode: 'automatic',
  epoch: 1,
  generation: 0,
  release_number: 0,
})
