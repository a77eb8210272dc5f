import { PERMISSIONS, type Permission } from '@nxmesh/contract'
import type { Queryable } from '../database/database.ts'
import { builtInRole, type RoleSet, unionOf } from './access-rules.ts'
import type { Caller, Grant } from './caller.ts'
import { bindingsOf, type Place, type RoleRow, rolesById } from './roles-store.ts'

const KNOWN: ReadonlySet<string> = new Set(PERMISSIONS)

/** A stored role as a set; a permission that this master does not know permits nothing. */
export function roleSetOf(row: RoleRow): RoleSet {
  const named = JSON.parse(row.permissions_json) as string[]
  const permissions = new Set(named.filter((one): one is Permission => KNOWN.has(one)))
  return { role_id: row.id, name: row.name, permissions }
}

/** The roles behind ids, built-in or stored; ids of none are left out. */
export async function rolesBehind(db: Queryable, ids: readonly string[]): Promise<Map<string, RoleSet>> {
  const found = new Map<string, RoleSet>()
  const stored: string[] = []
  for (const id of new Set(ids)) {
    const known = builtInRole(id)
    if (known) found.set(id, known)
    else stored.push(id)
  }
  for (const row of await rolesById(db, stored)) found.set(row.id, roleSetOf(row))
  return found
}

/** What roles in places permit. A role that is gone permits nothing. */
export async function grantsIn(
  db: Queryable,
  bound: readonly (Place & { role_id: string })[],
): Promise<Grant[]> {
  const roles = await rolesBehind(
    db,
    bound.map(one => one.role_id),
  )
  return bound.flatMap(({ role_id, organization_id, workspace_id }) => {
    const role = roles.get(role_id)
    return role ? [{ organization_id, workspace_id, role_id, permissions: role.permissions }] : []
  })
}

export const grantsOfUser = async (db: Queryable, user_id: string): Promise<Grant[]> =>
  await grantsIn(db, await bindingsOf(db, user_id))

/** The caller that a request without credentials turned out to be. */
export async function asUser(
  db: Queryable,
  user: { id: string; name: string; email: string },
  anonymous: Caller,
): Promise<Caller> {
  const grants = await grantsOfUser(db, user.id)
  return {
    ...anonymous,
    principal: { type: 'user', id: user.id },
    name: user.name,
    email: user.email,
    grants,
    permissions: unionOf(grants),
  }
}
