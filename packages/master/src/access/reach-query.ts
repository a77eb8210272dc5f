import { type Expression, expressionBuilder, type SqlBool } from 'kysely'
import type { Tables } from '../database/tables.ts'
import type { Reach } from './caller.ts'

export const EVERYWHERE: Reach = { everything: true, organization_ids: [], workspace_ids: [] }

/**
 * Of a table whose rows have a place (`organization_id`, `workspace_id`), those that lie in the reach: their workspace is one of
 * it, or their organization. Only everything has the instance's own.
 */
export function inReach({ everything, organization_ids, workspace_ids }: Reach): Expression<SqlBool> {
  // Any table that has the two columns; they are named without their table.
  const eb = expressionBuilder<Tables, 'role_bindings'>()
  if (everything) return eb.and([])
  return eb.or([
    ...(organization_ids.length > 0 ? [eb('organization_id', 'in', [...organization_ids])] : []),
    ...(workspace_ids.length > 0 ? [eb('workspace_id', 'in', [...workspace_ids])] : []),
  ])
}
