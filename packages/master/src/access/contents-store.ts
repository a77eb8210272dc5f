import type { Queryable, Tx } from '../database/database.ts'
import type { Doomed } from '../tenancy/tenancy.ts'
import { inReach } from './reach-query.ts'

/** What lies in a place, by the names of the tables; in the order in which they may go. */
const IN_PLACES = ['api_keys', 'role_bindings', 'invitations'] as const

/** An organization's rows are those of its workspaces as well. */
const placeOf = ({ organization_id, workspace_ids }: Doomed) =>
  inReach({
    everything: false,
    organization_ids: organization_id === null ? [] : [organization_id],
    workspace_ids: organization_id === null ? workspace_ids : [],
  })

export async function countInPlaces(db: Queryable, of: Doomed): Promise<{ field: string; count: number }[]> {
  const found: { field: string; count: number }[] = []
  for (const table of IN_PLACES) {
    const query = db.selectFrom(table).select(eb => eb.fn.countAll<number>().as('count'))
    const { count } = await query.where(placeOf(of)).executeTakeFirstOrThrow()
    found.push({ field: table, count: Number(count) })
  }
  return found
}

export async function deleteInPlaces(tx: Tx, of: Doomed): Promise<void> {
  for (const table of IN_PLACES) await tx.deleteFrom(table).where(placeOf(of)).execute()
}

export async function deleteRolesOf(tx: Tx, organization_id: string): Promise<void> {
  await tx.deleteFrom('roles').where('organization_id', '=', organization_id).execute()
}
