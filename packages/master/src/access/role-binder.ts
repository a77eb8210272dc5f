import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Tx } from '../database/database.ts'
import type { Authenticator } from './authenticator.ts'
import type { Caller } from './caller.ts'
import { type BindingRow, deleteBinding, insertBinding } from './roles-store.ts'

/** Binds roles and ends bindings, with the audit row, and with the forgetting after the commit. Who may do it is asked before. */
export interface RoleBinder {
  bind(tx: Tx, caller: Caller, binding: NewBinding): Promise<BindingRow>
  unbind(tx: Tx, caller: Caller, row: BindingRow): Promise<void>
  /** Records that a binding was to end and did not. */
  keep(tx: Tx, caller: Caller, row: BindingRow, reason: string): Promise<void>
}

/** `provider_id` null: given by a person; otherwise it follows the groups of that identity provider. */
export type NewBinding = Omit<BindingRow, 'id' | 'created_at'>

export interface RoleBinderDeps {
  readonly audit: AuditLog
  readonly authenticator: Authenticator
  readonly now: () => Date
  readonly newId: () => string
}

const eventOf = (action: string, row: BindingRow) => ({
  action: `role_binding.${action}`,
  object_type: 'role_binding',
  object_id: row.id,
  organization_id: row.organization_id,
  workspace_id: row.workspace_id,
})
const publicOf = ({ user_id, role_id, provider_id }: BindingRow) => ({ user_id, role_id, provider_id })

export function makeRoleBinder({ audit, authenticator, now, newId }: RoleBinderDeps): RoleBinder {
  return {
    async bind(tx, caller, binding) {
      const row: BindingRow = { ...binding, id: newId(), created_at: now().toISOString() }
      await insertBinding(tx, row)
      await audit.append(tx, caller, { ...eventOf('create', row), after: publicOf(row) })
      afterCommit(tx, () => authenticator.forget([row.user_id]))
      return row
    },
    async unbind(tx, caller, row) {
      await deleteBinding(tx, row.id)
      await audit.append(tx, caller, { ...eventOf('delete', row), before: publicOf(row) })
      afterCommit(tx, () => authenticator.forget([row.user_id]))
    },
    async keep(tx, caller, row, reason) {
      const after = { ...publicOf(row), reason }
      await audit.append(tx, caller, { ...eventOf('delete', row), result: 'refused', after })
    },
  }
}
