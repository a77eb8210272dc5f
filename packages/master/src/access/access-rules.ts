import { type Permission, ROLE_IDS, ROLES, type RoleName, SHARED_READS } from '@nxmesh/contract'
import type { Grant, Reach } from './caller.ts'

export interface RoleSet {
  readonly role_id: string
  readonly name: string
  readonly permissions: ReadonlySet<Permission>
}

const NAMES = Object.keys(ROLES) as RoleName[]
const BUILT_IN = new Map<string, RoleSet>(
  NAMES.map(name => [ROLE_IDS[name], { role_id: ROLE_IDS[name], name, permissions: new Set(ROLES[name]) }]),
)
const SHARED: ReadonlySet<Permission> = new Set(SHARED_READS)

/** Undefined for the id of no built-in role. */
export const builtInRole = (role_id: string): RoleSet | undefined => BUILT_IN.get(role_id)

/** All that some of the grants permit somewhere. */
export function unionOf(grants: readonly Grant[]): ReadonlySet<Permission> {
  const [only] = grants
  if (only && grants.length === 1) return only.permissions
  return new Set(grants.flatMap(one => [...one.permissions]))
}

/** Where a workspace lies, and from which of its neighbours it may be read. */
export interface Place {
  readonly organization_id: string
  readonly readable_from: readonly string[]
}

export const atInstance = (grant: Grant): boolean => grant.organization_id === null

/**
 * What a grant is worth in an organization itself. One for a workspace is worth reading the organization's name, or nobody
 * could tell where the workspace belongs.
 */
export function worthInOrganization(grant: Grant, permission: Permission, organization_id: string): boolean {
  if (!grant.permissions.has(permission)) return false
  if (atInstance(grant)) return true
  if (grant.organization_id !== organization_id) return false
  return grant.workspace_id === null || permission === 'organization:read'
}

/** What a grant is worth in a workspace. */
export function worthInWorkspace(
  grant: Grant,
  permission: Permission,
  workspace_id: string,
  place: Place,
): boolean {
  if (!grant.permissions.has(permission)) return false
  if (atInstance(grant)) return true
  if (grant.organization_id !== place.organization_id) return false
  if (grant.workspace_id === null || grant.workspace_id === workspace_id) return true
  return SHARED.has(permission) && place.readable_from.includes(grant.workspace_id)
}

/** Whether a workspace's grant shows some of another workspace. */
const opens = (grant: Grant, workspace_id: string, place: Place): boolean =>
  [...grant.permissions].some(one => worthInWorkspace(grant, one, workspace_id, place))

export const seesWorkspace = (grants: readonly Grant[], workspace_id: string, place: Place): boolean =>
  grants.some(one => opens(one, workspace_id, place))

export const seesOrganization = (grants: readonly Grant[], organization_id: string): boolean =>
  grants.some(one => atInstance(one) || one.organization_id === organization_id)

/** The reach by the grants alone, without what neighbours share. */
export function reachOf(grants: readonly Grant[], permission: Permission): Reach {
  const having = grants.filter(one => one.permissions.has(permission))
  const organizations = having.filter(one => one.organization_id !== null && one.workspace_id === null)
  const workspaces = having.flatMap(one => one.workspace_id ?? [])
  return {
    everything: having.some(atInstance),
    organization_ids: [...new Set(organizations.flatMap(one => one.organization_id ?? []))],
    workspace_ids: [...new Set(workspaces)],
  }
}

export const isShared = (permission: Permission): boolean => SHARED.has(permission)

/** Whether these grants permit all of `permissions` in a place. A whole organization is more than one of its workspaces. */
export function coversAll(
  grants: readonly Grant[],
  permissions: Iterable<Permission>,
  at: { organization_id: string | null; workspace_id: string | null },
): boolean {
  const there = grants.filter(one => {
    if (atInstance(one)) return true
    if (one.organization_id !== at.organization_id) return false
    return one.workspace_id === null || one.workspace_id === at.workspace_id
  })
  const held = unionOf(there)
  for (const permission of permissions) if (!held.has(permission)) return false
  return true
}
