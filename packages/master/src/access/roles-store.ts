import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { Tables } from '../database/tables.ts'
import type { Reach } from './caller.ts'
import { inReach } from './reach-query.ts'

export type RoleRow = Selectable<Tables['roles']>
export type BindingRow = Selectable<Tables['role_bindings']>
export interface Place {
  readonly organization_id: string | null
  readonly workspace_id: string | null
}

// --- Roles of organizations; the built-in ones are not stored ---

export async function roleById(db: Queryable, id: string): Promise<RoleRow | undefined> {
  return await db.selectFrom('roles').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function rolesById(db: Queryable, ids: readonly string[]): Promise<RoleRow[]> {
  if (ids.length === 0) return []
  return await db
    .selectFrom('roles')
    .selectAll()
    .where('id', 'in', [...ids])
    .execute()
}

export async function roleByName(
  db: Queryable,
  organization_id: string,
  name: string,
): Promise<RoleRow | undefined> {
  const query = db.selectFrom('roles').selectAll().where('organization_id', '=', organization_id)
  return await query.where('name', '=', name).executeTakeFirst()
}

/** `organization_ids` null: of all. Bounded by LIMITS.roles_per_organization for each. */
export async function rolesOf(db: Queryable, organization_ids: readonly string[] | null): Promise<RoleRow[]> {
  if (organization_ids?.length === 0) return []
  let query = db.selectFrom('roles').selectAll().orderBy('organization_id').orderBy('name')
  if (organization_ids !== null) query = query.where('organization_id', 'in', [...organization_ids])
  return await query.execute()
}

export async function insertRole(tx: Tx, row: RoleRow): Promise<void> {
  await tx.insertInto('roles').values(row).execute()
}

export async function updateRole(
  tx: Tx,
  id: string,
  change: Pick<RoleRow, 'name' | 'permissions_json'>,
): Promise<void> {
  await tx.updateTable('roles').set(change).where('id', '=', id).execute()
}

export async function deleteRole(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('roles').where('id', '=', id).execute()
}

/** How many people, invitations and keys have a role. */
export async function countUses(db: Queryable, role_id: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of ['role_bindings', 'invitations', 'api_keys'] as const) {
    const query = db
      .selectFrom(table)
      .select(eb => eb.fn.countAll<number>().as('count'))
      .where('role_id', '=', role_id)
    counts[table] = Number((await query.executeTakeFirstOrThrow()).count)
  }
  return counts
}

// --- Bindings ---

export async function bindingById(db: Queryable, id: string): Promise<BindingRow | undefined> {
  return await db.selectFrom('role_bindings').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Bounded by LIMITS.bindings_per_user. */
export async function bindingsOf(db: Queryable, user_id: string): Promise<BindingRow[]> {
  const query = db.selectFrom('role_bindings').selectAll().where('user_id', '=', user_id)
  return await query.orderBy('id').execute()
}

export async function insertBinding(tx: Tx, row: BindingRow): Promise<void> {
  await tx.insertInto('role_bindings').values(row).execute()
}

export async function deleteBinding(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('role_bindings').where('id', '=', id).execute()
}

export interface BindingFilter {
  readonly reach: Reach
  readonly user_id?: string | undefined
}

function filtered(db: Queryable, { reach, user_id }: BindingFilter) {
  const query = db.selectFrom('role_bindings').where(inReach(reach))
  return user_id === undefined ? query : query.where('user_id', '=', user_id)
}

export async function listBindings(
  db: Queryable,
  filter: BindingFilter,
  slice: Slice,
): Promise<(BindingRow & { user_email: string })[]> {
  return await filtered(db, filter)
    .innerJoin('users', 'users.id', 'role_bindings.user_id')
    .selectAll('role_bindings')
    .select('users.email as user_email')
    .orderBy('role_bindings.id')
    .limit(slice.limit)
    .offset(slice.offset)
    .execute()
}

export async function countBindings(db: Queryable, filter: BindingFilter): Promise<number> {
  const query = filtered(db, filter).select(eb => eb.fn.countAll<number>().as('count'))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

/** How many active people hold a role in a place itself, apart from one person or one binding. */
export async function countOthers(
  db: Queryable,
  role_id: string,
  organization_id: string | null,
  without: { user_id?: string; binding_id?: string },
): Promise<number> {
  let query = db
    .selectFrom('role_bindings')
    .innerJoin('users', 'users.id', 'role_bindings.user_id')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('role_bindings.role_id', '=', role_id)
    .where('users.status', '=', 'active')
    .where('role_bindings.workspace_id', 'is', null)
  query =
    organization_id === null
      ? query.where('role_bindings.organization_id', 'is', null)
      : query.where('role_bindings.organization_id', '=', organization_id)
  if (without.user_id !== undefined) query = query.where('users.id', '!=', without.user_id)
  if (without.binding_id !== undefined) query = query.where('role_bindings.id', '!=', without.binding_id)
  return Number((await query.executeTakeFirstOrThrow()).count)
}

/** Those that follow the groups of an identity provider. */
export async function bindingsOfProvider(db: Queryable, provider_id: string): Promise<BindingRow[]> {
  const query = db.selectFrom('role_bindings').selectAll().where('provider_id', '=', provider_id)
  return await query.orderBy('id').execute()
}
