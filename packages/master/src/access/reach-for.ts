import type { Permission } from '@nxmesh/contract'
import type { Access, Caller, Reach } from './caller.ts'

/** What a list of people or machines asks for. */
export interface PlaceQuery {
  readonly page: number
  readonly per_page: number
  readonly organization_id?: string | undefined
  readonly workspace_id?: string | undefined
}

/** The places of a list: the one that the query names, after the check, or all in which the permission holds. */
export async function reachFor(
  access: Access,
  caller: Caller,
  permission: Permission,
  { organization_id, workspace_id }: Pick<PlaceQuery, 'organization_id' | 'workspace_id'>,
): Promise<Reach> {
  if (workspace_id !== undefined) {
    await access.require(caller, permission, { type: 'workspace', workspace_id })
    return { everything: false, organization_ids: [], workspace_ids: [workspace_id] }
  }
  if (organization_id === undefined) return await access.reach(caller, permission)
  await access.require(caller, permission, { type: 'organization', organization_id })
  return { everything: false, organization_ids: [organization_id], workspace_ids: [] }
}
