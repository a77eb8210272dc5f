import type { Queryable } from '../database/database.ts'
import { builtInRole, type RoleSet } from './access-rules.ts'
import type { Places } from './access-service.ts'
import type { Access, Caller } from './caller.ts'
import { roleSetOf } from './grants.ts'
import { invalid, requireFits, requireMayGive, scopeOf } from './people-rules.ts'
import { type Place, roleById } from './roles-store.ts'

/** A role for a place, as somebody wants to give it. */
export interface Wanted extends Place {
  readonly role: string
}

/**
 * The checks before a role is given, whoever gets it: the permission to give, that role and place exist and fit each other,
 * and that it is not more than the giver has there.
 */
export async function requireGivable(
  deps: { access: Access; places: Places },
  db: Queryable,
  caller: Caller,
  permission: 'user:write' | 'api_key:write',
  { role, organization_id, workspace_id }: Wanted,
): Promise<RoleSet> {
  const place = { organization_id, workspace_id }
  await deps.access.require(caller, permission, scopeOf(place))
  if (workspace_id !== null) {
    const home = await deps.places.placeOf(workspace_id)
    if (home?.organization_id !== organization_id)
      throw invalid('workspace_id', 'is no workspace of this organization')
  }
  const found = await roleBehind(db, role)
  // A role of another organization looks like none: ids must not tell what others have.
  if (!found || (found.home !== null && found.home !== organization_id))
    throw invalid('role', 'is no role here')
  requireFits(role, place)
  requireMayGive(caller, found.set.permissions, place)
  return found.set
}

/** `home`: the organization that a role belongs to; null for the built-in ones. */
async function roleBehind(db: Queryable, id: string): Promise<{ set: RoleSet; home: string | null } | null> {
  const built_in = builtInRole(id)
  if (built_in) return { set: built_in, home: null }
  const stored = await roleById(db, id)
  return stored ? { set: roleSetOf(stored), home: stored.organization_id } : null
}
