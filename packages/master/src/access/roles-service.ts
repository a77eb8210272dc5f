import { ApiError, LIMITS, type Permission, ROLE_IDS, type Role } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database } from '../database/database.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import { builtInRole } from './access-rules.ts'
import type { Authenticator } from './authenticator.ts'
import type { Access, Caller } from './caller.ts'
import { roleSetOf } from './grants.ts'
import { noRole, requireForOrganization, requireMayGive, roleOf } from './people-rules.ts'
import {
  countUses,
  deleteRole,
  insertRole,
  type RoleRow,
  roleById,
  roleByName,
  rolesOf,
  updateRole,
} from './roles-store.ts'

export interface Roles {
  /** The built-in ones first. */
  list(
    caller: Caller,
    query: { page: number; per_page: number; organization_id?: string | undefined },
  ): Promise<PageOf<Role>>
  get(caller: Caller, id: string): Promise<Role>
  create(
    caller: Caller,
    input: { organization_id: string; name: string; permissions: readonly Permission[] },
  ): Promise<Role>
  update(
    caller: Caller,
    id: string,
    change: { name?: string | undefined; permissions?: readonly Permission[] | undefined },
  ): Promise<Role>
  /** Throws IN_USE while somebody has it. */
  remove(caller: Caller, id: string): Promise<void>
}

export interface RolesDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly authenticator: Authenticator
  readonly now: () => Date
  readonly newId: () => string
}

const scopeOf = (organization_id: string) => ({ type: 'organization', organization_id }) as const
const wireOf = (row: RoleRow): Role => roleOf(roleSetOf(row), row)
const eventOf = (action: string, row: RoleRow) => ({
  action: `role.${action}`,
  object_type: 'role',
  object_id: row.id,
  organization_id: row.organization_id,
})
const publicOf = (row: RoleRow) => ({ name: row.name, permissions: JSON.parse(row.permissions_json) })
/** In one order, so that equal sets are equal text. */
const jsonOf = (permissions: readonly Permission[]) => JSON.stringify([...permissions].sort())

const nameTaken = (message: string) =>
  new ApiError('CONFLICT', message, { details: [{ field: 'name', message }] })

export function makeRoles(deps: RolesDeps): Roles {
  const { database, audit, access, authenticator } = deps
  const built_in = Object.values(ROLE_IDS).flatMap(id => {
    const role = builtInRole(id)
    return role ? [roleOf(role, null)] : []
  })

  /** Whoever changes a role must have all that it permits: nobody takes from those above. */
  const changeable = async (
    db: Parameters<typeof roleById>[0],
    caller: Caller,
    permission: 'role:write' | 'role:delete',
    id: string,
  ) => {
    if (builtInRole(id)) throw new ApiError('CONFLICT', 'A built-in role cannot be changed or deleted')
    const row = await roleById(db, id)
    if (!row) throw noRole()
    await access.require(caller, permission, scopeOf(row.organization_id), noRole)
    requireMayGive(caller, roleSetOf(row).permissions, { ...row, workspace_id: null })
    return row
  }
  const refuseTaken = (holder: RoleRow | undefined, id: string | null) => {
    if (holder && holder.id !== id)
      throw nameTaken(`Another role of this organization has the name "${holder.name}"`)
  }
  /** Wherever a role is shown by its name alone, a built-in one must be what it says. */
  const refuseBuiltInName = (name: string) => {
    if (built_in.some(one => one.name === name.toLowerCase()))
      throw nameTaken(`"${name}" is the name of a built-in role: choose another`)
  }

  return {
    async list(caller, { organization_id, ...query }) {
      if (organization_id !== undefined) await access.require(caller, 'role:read', scopeOf(organization_id))
      const reach = await access.reach(caller, 'role:read')
      const own = reach.everything ? null : reach.organization_ids
      const rows = await rolesOf(database.read, organization_id === undefined ? own : [organization_id])
      const all = [...built_in, ...rows.map(wireOf)]
      const { limit, offset } = sliceOf(query)
      return { items: all.slice(offset, offset + limit), total: all.length }
    },

    async get(caller, id) {
      const known = built_in.find(one => one.id === id)
      if (known) return known
      const row = await roleById(database.read, id)
      if (!row) throw noRole()
      await access.require(caller, 'role:read', scopeOf(row.organization_id), noRole)
      return wireOf(row)
    },

    async create(caller, { organization_id, name, permissions }) {
      requireForOrganization(permissions)
      refuseBuiltInName(name)
      return await database.write(async tx => {
        // Inside: the organization may be deleted meanwhile.
        await access.require(caller, 'role:write', scopeOf(organization_id))
        requireMayGive(caller, new Set(permissions), { organization_id, workspace_id: null })
        refuseTaken(await roleByName(tx, organization_id, name), null)
        if ((await rolesOf(tx, [organization_id])).length >= LIMITS.roles_per_organization)
          throw new ApiError(
            'LIMIT_REACHED',
            `An organization has at most ${LIMITS.roles_per_organization} roles`,
          )
        const row: RoleRow = {
          id: deps.newId(),
          organization_id,
          name,
          permissions_json: jsonOf(permissions),
          created_at: deps.now().toISOString(),
        }
        await insertRole(tx, row)
        await audit.append(tx, caller, { ...eventOf('create', row), after: publicOf(row) })
        return wireOf(row)
      })
    },

    async update(caller, id, change) {
      return await database.write(async tx => {
        const row = await changeable(tx, caller, 'role:write', id)
        const next = {
          name: change.name ?? row.name,
          permissions_json: change.permissions ? jsonOf(change.permissions) : row.permissions_json,
        }
        if (change.permissions) {
          requireForOrganization(change.permissions)
          requireMayGive(caller, new Set(change.permissions), { ...row, workspace_id: null })
        }
        const after = { ...row, ...next }
        if (after.name === row.name && after.permissions_json === row.permissions_json) return wireOf(row)
        if (next.name !== row.name) refuseBuiltInName(next.name)
        refuseTaken(await roleByName(tx, row.organization_id, next.name), id)
        await updateRole(tx, id, next)
        await audit.append(tx, caller, {
          ...eventOf('update', row),
          before: publicOf(row),
          after: publicOf(after),
        })
        afterCommit(tx, () => authenticator.forget('all'))
        return wireOf(after)
      })
    },

    async remove(caller, id) {
      await database.write(async tx => {
        const row = await changeable(tx, caller, 'role:delete', id)
        const uses = Object.entries(await countUses(tx, id)).filter(([, count]) => count > 0)
        const details = uses.map(([field, count]) => ({ field, message: `${count} have it` }))
        if (details.length > 0) throw new ApiError('IN_USE', `The role "${row.name}" is in use`, { details })
        await deleteRole(tx, id)
        await audit.append(tx, caller, { ...eventOf('delete', row), before: publicOf(row) })
      })
    },
  }
}
