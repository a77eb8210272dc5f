import type { Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Queryable, Tx } from '../database/database.ts'
import type { PlaceIndex } from './places.ts'
import type { Purger } from './purger.ts'
import { withoutWorkspaces } from './settings-rules.ts'
import type { Content, Doomed, TenantContents } from './tenancy.ts'
import { organizationEvent, organizationOf, workspaceEvent, workspaceOf } from './tenancy-rules.ts'
import {
  markOrganization,
  markWorkspaces,
  type OrganizationRow,
  organizationById,
  updateOrganization,
  type WorkspaceRow,
} from './tenancy-store.ts'

export interface DeletionDeps {
  readonly audit: AuditLog
  readonly places: PlaceIndex
  readonly contents: readonly TenantContents[]
  readonly purger: Pick<Purger, 'wake'>
  /** Told of each workspace that is gone: nobody comes from anywhere any more. */
  readonly originsChanged: (workspace_id: string, cidrs: readonly string[] | null) => void
  readonly now: () => Date
}

/** The end of tenants: in one transaction gone for everybody; their rows follow in steps. */
export interface Deletion {
  /** What lies in them; nothing of what is not there. */
  contentsOf(db: Queryable, of: Doomed): Promise<readonly Content[]>
  /** `contents`: what was seen in it just before, for the audit log: counting would hold up the other writers. */
  workspace(tx: Tx, caller: Caller, row: WorkspaceRow, contents: readonly Content[]): Promise<void>
  /** `workspaces`: all that it has. */
  organization(
    tx: Tx,
    caller: Caller,
    row: OrganizationRow,
    workspaces: readonly WorkspaceRow[],
    contents: readonly Content[],
  ): Promise<void>
}

export function makeDeletion(deps: DeletionDeps): Deletion {
  const { audit, places, contents } = deps

  const contentsOf = async (db: Queryable, of: Doomed): Promise<readonly Content[]> => {
    const found: Content[] = []
    for (const area of contents) found.push(...(await area.count(db, of)))
    return found.filter(one => one.count > 0)
  }

  /** Closes and marks. */
  const end = async (tx: Tx, of: Doomed) => {
    for (const area of contents) await area.close?.(tx, of)
    const at = deps.now().toISOString()
    await markWorkspaces(tx, of.workspace_ids, at)
    if (of.organization_id !== null) await markOrganization(tx, of.organization_id, at)
    afterCommit(tx, () => {
      for (const id of of.workspace_ids) {
        places.forgetWorkspace(id)
        deps.originsChanged(id, [])
      }
      if (of.organization_id !== null) places.forgetOrganization(of.organization_id)
      deps.purger.wake()
    })
  }

  /** A setting that named the workspace names it no longer. */
  const tidySettings = async (tx: Tx, caller: Caller, organization_id: string, gone: string) => {
    const row = await organizationById(tx, organization_id)
    if (!row) return
    const before = organizationOf(row)
    const after = { ...before, settings: withoutWorkspaces(before.settings, new Set([gone])) }
    const settings_json = JSON.stringify(after.settings)
    if (settings_json === JSON.stringify(before.settings)) return
    await updateOrganization(tx, row.id, { name: row.name, slug: row.slug, settings_json })
    await audit.append(tx, caller, { ...organizationEvent('update', row.id), before, after })
    afterCommit(tx, () => places.forgetOrganization(row.id))
  }

  return {
    contentsOf,

    async workspace(tx, caller, row, contents) {
      await end(tx, { organization_id: null, workspace_ids: [row.id] })
      await tidySettings(tx, caller, row.organization_id, row.id)
      const before = { ...workspaceOf(row), contents: countsOf(contents) }
      await audit.append(tx, caller, { ...workspaceEvent('delete', row), before })
    },

    async organization(tx, caller, row, workspaces, contents) {
      const workspace_ids = workspaces.map(one => one.id)
      await end(tx, { organization_id: row.id, workspace_ids })
      for (const one of workspaces)
        await audit.append(tx, caller, { ...workspaceEvent('delete', one), before: workspaceOf(one) })
      const counts = { workspaces: workspaces.length, ...countsOf(contents) }
      const before = { ...organizationOf(row), contents: counts }
      await audit.append(tx, caller, { ...organizationEvent('delete', row.id), before })
    },
  }
}

const countsOf = (contents: readonly Content[]): Record<string, number> =>
  Object.fromEntries(contents.map(({ field, count }) => [field, count]))
