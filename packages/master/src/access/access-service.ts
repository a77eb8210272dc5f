import { ApiError, type Permission } from '@nxmesh/contract'
import { MASTER_LIMITS } from '../limits.ts'
import {
  isShared,
  type Place,
  reachOf,
  seesOrganization,
  seesWorkspace,
  worthInOrganization,
  worthInWorkspace,
} from './access-rules.ts'
import type { Access, Caller, Reach, Scope } from './caller.ts'

/** What the check needs to know of the tenants; answered from memory. */
export interface Places {
  /** Null when there is no such workspace. */
  placeOf(workspace_id: string): Promise<Place | null>
  hasOrganization(organization_id: string): Promise<boolean>
  /** The ids of at most `limit` workspaces of these organizations. */
  workspacesIn(organization_ids: readonly string[], limit: number): Promise<readonly string[]>
  /** All workspaces of the instance, at most `limit`. */
  allWorkspaces(limit: number): Promise<readonly string[]>
  /** The workspaces of an organization that may be read from one of these. */
  readableFrom(organization_id: string, workspace_ids: readonly string[]): Promise<readonly string[]>
}

const NOUNS = { instance: 'path', organization: 'organization', workspace: 'workspace' } as const

export function makeAccess(places: Places): Access {
  const worth = async (caller: Caller, permission: Permission, scope: Scope): Promise<boolean> => {
    if (!caller.permissions.has(permission)) return false
    if (scope.type === 'instance')
      return caller.grants.some(one => one.organization_id === null && one.permissions.has(permission))
    if (scope.type === 'organization') {
      const { organization_id } = scope
      if (!caller.grants.some(one => worthInOrganization(one, permission, organization_id))) return false
      // A grant of the organization says that it is there, one of the instance does not.
      const own = caller.grants.some(one => one.organization_id === organization_id)
      return own || (await places.hasOrganization(organization_id))
    }
    const place = await places.placeOf(scope.workspace_id)
    return (
      place !== null &&
      caller.grants.some(one => worthInWorkspace(one, permission, scope.workspace_id, place))
    )
  }

  const sees = async (caller: Caller, scope: Scope): Promise<boolean> => {
    if (scope.type === 'instance') return true
    if (scope.type === 'organization') {
      const { organization_id } = scope
      return (
        seesOrganization(caller.grants, organization_id) && (await places.hasOrganization(organization_id))
      )
    }
    const place = await places.placeOf(scope.workspace_id)
    return place !== null && seesWorkspace(caller.grants, scope.workspace_id, place)
  }

  const reach = async (caller: Caller, permission: Permission): Promise<Reach> => {
    const own = reachOf(caller.grants, permission)
    if (own.everything || own.workspace_ids.length === 0 || !isShared(permission)) return own
    const homes = new Set(caller.grants.flatMap(one => one.organization_id ?? []))
    const shared: string[] = []
    for (const home of homes) {
      const from = caller.grants.flatMap(one =>
        one.organization_id === home && one.permissions.has(permission) ? (one.workspace_id ?? []) : [],
      )
      if (from.length > 0) shared.push(...(await places.readableFrom(home, from)))
    }
    return { ...own, workspace_ids: [...new Set([...own.workspace_ids, ...shared])] }
  }

  const access: Access = {
    allows: worth,
    reach,
    async require(caller, permission, scope, absent) {
      if (await worth(caller, permission, scope)) return
      if (await sees(caller, scope))
        throw new ApiError('FORBIDDEN', `This needs the permission ${permission}`)
      throw absent ? absent() : new ApiError('NOT_FOUND', `There is no such ${NOUNS[scope.type]}`)
    },
    async workspaces(caller, permission, workspace_id) {
      if (workspace_id !== undefined) {
        await access.require(caller, permission, { type: 'workspace', workspace_id })
        return [workspace_id]
      }
      const max = MASTER_LIMITS.workspaces_per_list
      const { everything, organization_ids, workspace_ids } = await reach(caller, permission)
      const of_organizations = everything
        ? await places.allWorkspaces(max + 1)
        : await places.workspacesIn(organization_ids, max + 1)
      const all = [...new Set([...of_organizations, ...workspace_ids])]
      if (all.length > max) throw tooMany(max)
      return all
    },
  }
  return access
}

const tooMany = (max: number) =>
  new ApiError('VALIDATION_ERROR', `You may see more than ${max} workspaces: name one`, {
    details: [{ field: 'workspace_id', message: 'is needed here' }],
  })
