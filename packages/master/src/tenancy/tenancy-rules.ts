import {
  ApiError,
  type ErrorDetail,
  type Organization,
  OrganizationSettings,
  type Workspace,
} from '@nxmesh/contract'
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

export const cidrsOf = (row: Pick<WorkspaceRow, 'agent_allowed_cidrs_json'>): string[] | null =>
  row.agent_allowed_cidrs_json === null ? null : JSON.parse(row.agent_allowed_cidrs_json)

/** Sorted and without repetitions, so that equal lists are equal text. */
export const cidrsJson = (cidrs: readonly string[] | null): string | null =>
  cidrs === null ? null : JSON.stringify([...new Set(cidrs)].sort())

export const noOrganization = () => new ApiError('NOT_FOUND', 'There is no such organization')
export const noWorkspace = () => new ApiError('NOT_FOUND', 'There is no such workspace')

/** Refuses a slug that another one has. `holder`: who has it, `id`: who wants it (null: a new one). */
export function refuseTakenSlug(
  noun: string,
  slug: string,
  holder: { id: string } | undefined,
  id: string | null,
): void {
  if (!holder || holder.id === id) return
  const message = `The ${noun} ${holder.id} has the slug "${slug}" already`
  throw new ApiError('CONFLICT', message, { details: [{ field: 'slug', message }] })
}

export function refuseFull(noun: string, count: number, max: number): void {
  if (count >= max) throw new ApiError('LIMIT_REACHED', `There are ${max} ${noun} already`)
}

/** How many users of a thing an error lists; the last line says how many more there are. */
const LISTED = 20

export function refuseInUse(noun: string, details: readonly ErrorDetail[], total = details.length): void {
  if (total === 0) return
  const listed = details.slice(0, LISTED)
  const more = total - listed.length
  if (more > 0) listed.push({ field: listed[0]?.field ?? '', message: `and ${more} more` })
  throw new ApiError('IN_USE', `The ${noun} is not empty`, { details: listed })
}
