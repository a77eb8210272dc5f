import { seesOrganization } from '../access/access-rules.ts'
import type { Access, Scope } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Queryable, Tx } from '../database/database.ts'
import { totalOf } from '../database/slice.ts'
import { sliceOf } from '../http/page.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Deletion } from './deletion.ts'
import { requireConfirmed } from './deletion-rules.ts'
import type { WorkspaceChange, Workspaces } from './tenancy.ts'
import {
  cidrsJson,
  cidrsOf,
  noOrganization,
  noWorkspace,
  refuseFull,
  refuseTaken,
  workspaceEvent,
  workspaceOf,
} from './tenancy-rules.ts'
import {
  countWorkspaces,
  insertWorkspace,
  listWorkspaces,
  lockWorkspaceRow,
  organizationById,
  updateWorkspace,
  type WorkspaceRow,
  workspaceBy,
  workspaceById,
} from './tenancy-store.ts'

export interface WorkspacesDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly now: () => Date
  readonly newId: () => string
  readonly deletion: Deletion
  /** After the commit of another `agent_allowed_cidrs`. */
  readonly originsChanged: (workspace_id: string, cidrs: readonly string[] | null) => void
}

const organizationScope = (organization_id: string): Scope => ({ type: 'organization', organization_id })
const scopeOf = (workspace_id: string): Scope => ({ type: 'workspace', workspace_id })

export function makeWorkspaces(deps: WorkspacesDeps): Workspaces {
  const { database, audit, access, deletion, now, newId } = deps

  /** `before`: null for a new one. What stays as it is is nobody's business. */
  const requireFree = async (
    tx: Tx,
    wanted: Pick<WorkspaceRow, 'organization_id' | 'slug' | 'name'>,
    before: Pick<WorkspaceRow, 'id' | 'slug' | 'name'> | null,
  ) => {
    for (const field of ['slug', 'name'] as const) {
      if (before?.[field] === wanted[field]) continue
      const holder = await workspaceBy(tx, wanted.organization_id, field, wanted[field])
      refuseTaken('workspace', field, wanted[field], holder, before?.id ?? null)
    }
  }

  return {
    async list(caller, { organization_id, ...query }) {
      if (organization_id !== undefined) {
        if (!seesOrganization(caller.grants, organization_id)) throw noOrganization()
        await requireOrganization(database.read, organization_id)
      }
      const reach = await access.reach(caller, 'workspace:read')
      const filter = { organization_id: organization_id ?? null, reach: reach.everything ? null : reach }
      const slice = sliceOf(query)
      const rows = await listWorkspaces(database.read, filter, slice)
      const total = await totalOf(slice, rows.length, () => countWorkspaces(database.read, filter))
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
        await requireFree(tx, input, null)
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
        await audit.append(tx, caller, { ...workspaceEvent('create', row), after })
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
        await requireFree(tx, after, before)
        const { name, slug, agent_allowed_cidrs_json } = changed
        await updateWorkspace(tx, id, { name, slug, agent_allowed_cidrs_json })
        await audit.append(tx, caller, { ...workspaceEvent('update', row), before, after })
        return { after, moved }
      })
      if (moved) deps.originsChanged(id, after.agent_allowed_cidrs)
      return after
    },

    async remove(caller, id, confirm) {
      await access.require(caller, 'workspace:delete', scopeOf(id))
      const seen = await workspaceById(database.read, id)
      if (!seen) throw noWorkspace()
      const of = { organization_id: null, workspace_ids: [id] }
      const contents = await deletion.contentsOf(database.read, of)
      requireConfirmed('workspace', seen, confirm, { workspaces: [], contents })
      await database.write(async tx => {
        // The lock comes first: whoever puts something in takes it as well, and finds the workspace gone.
        const row = await lockWorkspaceRow(tx, id)
        if (!row) throw noWorkspace()
        // Renamed in between: what was confirmed is another slug.
        requireConfirmed('workspace', row, confirm, { workspaces: [], contents })
        await deletion.workspace(tx, caller, row, contents)
      })
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
  deleted_at: null,
})
