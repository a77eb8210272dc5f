import { ApiError, type Organization, OrganizationSettings, type Workspace } from '@nxmesh/contract'
import type { OrganizationRow, WorkspaceRow } from './tenancy-store.ts'

export const organizationOf = (row: OrganizationRow): Organization => ({
  id: row.id,
  name: row.name,
  slug: row.slug,
  created_at: row.created_at,
  settings: settingsOf(row),
})

/** What an older master stored and this one does not read is taken for the defaults: they show least. */
export function settingsOf(row: Pick<OrganizationRow, 'settings_json'>): OrganizationSettings {
  const read = OrganizationSettings.safeParse(JSON.parse(row.settings_json))
  return read.success ? read.data : { cross_workspace_reads: [] }
}

export const workspaceOf = (row: WorkspaceRow): Workspace => ({
  id: row.id,
  organization_id: row.organization_id,
  name: row.name,
  slug: row.slug,
  deploy_mode: row.deploy_mode === 'manual' ? 'manual' : 'automatic',
  agent_allowed_cidrs: cidrsOf(row),
  created_at: row.created_at,
})

export const organizationEvent = (action: string, id: string) => ({
  action: `organization.${action}`,
  object_type: 'organization',
  object_id: id,
  organization_id: id,
})
export const workspaceEvent = (action: string, row: Pick<WorkspaceRow, 'id' | 'organization_id'>) => ({
  action: `workspace.${action}`,
  object_type: 'workspace',
  object_id: row.id,
  organization_id: row.organization_id,
  workspace_id: row.id,
})

export const cidrsOf = (row: Pick<WorkspaceRow, 'agent_allowed_cidrs_json'>): string[] | null =>
  row.agent_allowed_cidrs_json === null ? null : JSON.parse(row.agent_allowed_cidrs_json)

/** Sorted and without repetitions, so that equal lists are equal text. */
export const cidrsJson = (cidrs: readonly string[] | null): string | null =>
  cidrs === null ? null : JSON.stringify([...new Set(cidrs)].sort())

export const noOrganization = () => new ApiError('NOT_FOUND', 'There is no such organization')
export const noWorkspace = () => new ApiError('NOT_FOUND', 'There is no such workspace')

/** Refuses a slug or a name that another one has. `holder`: who has it, `id`: who wants it (null: a new one). */
export function refuseTaken(
  noun: string,
  field: 'slug' | 'name',
  value: string,
  holder: { id: string } | undefined,
  id: string | null,
): void {
  if (!holder || holder.id === id) return
  const message = `The ${noun} ${holder.id} has the ${field} "${value}" already`
  throw new ApiError('CONFLICT', message, { details: [{ field, message }] })
}

export function refuseFull(noun: string, count: number, max: number): void {
  if (count >= max) throw new ApiError('LIMIT_REACHED', `There are ${max} ${noun} already`)
}
