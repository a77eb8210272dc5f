import { afterCommit } from '../database/after-commit.ts'
import type { TenantContents } from '../tenancy/tenancy.ts'
import type { Authenticator } from './authenticator.ts'
import { countInPlaces, deleteInPlaces, deleteRolesOf } from './contents-store.ts'
import { rolesOf } from './roles-store.ts'

/** What people and machines may do in tenants. People themselves stay: they may have roles elsewhere, or get one. */
export function accessContents(authenticator: Pick<Authenticator, 'forget'>): TenantContents {
  return {
    async count(db, of) {
      const roles = of.organization_id === null ? [] : await rolesOf(db, [of.organization_id])
      return [...(await countInPlaces(db, of)), { field: 'roles', count: roles.length }]
    },
    async close(tx, of) {
      await deleteInPlaces(tx, of)
      if (of.organization_id !== null) await deleteRolesOf(tx, of.organization_id)
      afterCommit(tx, () => authenticator.forget('all'))
    },
  }
}
