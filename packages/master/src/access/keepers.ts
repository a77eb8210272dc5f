import { ApiError } from '@nxmesh/contract'
import type { Tx } from '../database/database.ts'
import { keeperOf } from './people-rules.ts'
import { bindingsOf, countOthers } from './roles-store.ts'

/** The instance and every organization always have somebody who may do everything there. */
export interface Keepers {
  /** Before a user is shut out, or a binding of a user ends. Throws CONFLICT where nobody else would be left. */
  requireAnotherThan(tx: Tx, gone: { user_id: string; binding_id?: string }): Promise<void>
}

export function makeKeepers(): Keepers {
  return {
    async requireAnotherThan(tx, { user_id, binding_id }) {
      const bindings = await bindingsOf(tx, user_id)
      const ending = binding_id === undefined ? bindings : bindings.filter(one => one.id === binding_id)
      for (const { organization_id, workspace_id, role_id } of ending) {
        if (workspace_id !== null || role_id !== keeperOf(organization_id)) continue
        const without = binding_id === undefined ? { user_id } : { binding_id }
        if ((await countOthers(tx, role_id, organization_id, without)) > 0) continue
        const where = organization_id === null ? 'the instance' : `the organization ${organization_id}`
        const who = organization_id === null ? 'administrator' : 'owner'
        throw new ApiError('CONFLICT', `This is the last ${who} of ${where}: make another one first`)
      }
    },
  }
}
