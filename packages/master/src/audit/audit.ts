import type { AuditEntry } from '@nxmesh/contract'
import type { Caller } from '../access/caller.ts'
import type { Tx } from '../database/database.ts'

export interface AuditEvent {
  readonly action: string
  readonly object_type: string
  readonly object_id?: string | null
  /** Filled in where there is a workspace. */
  readonly organization_id?: string | null
  readonly workspace_id?: string | null
  readonly result?: AuditEntry['result']
  /** Secrets must already be masked. */
  readonly before?: unknown
  readonly after?: unknown
}

export interface AuditLog {
  /** Appends a row in the caller's transaction: what happened and its record stand or fall together. */
  append(tx: Tx, caller: Caller, event: AuditEvent): Promise<void>
  /** Appends a row in a transaction of its own: for what was refused. */
  record(caller: Caller, event: AuditEvent): Promise<void>
}
