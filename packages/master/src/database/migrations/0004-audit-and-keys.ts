import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres, makeIndex } from './make-table.ts'

const APPEND_ONLY = 'the audit log is append-only'

/**
 * An insert that replaces rows fires no trigger for the ones that go (https://sqlite.org/lang_conflict.html), so what would
 * replace one is refused as well.
 */
const SQLITE_TRIGGERS = [
  ...['update', 'delete'].map(
    what =>
      `create trigger audit_log_no_${what} before ${what} on audit_log begin select raise(abort, '${APPEND_ONLY}'); end`,
  ),
  `create trigger audit_log_no_replace before insert on audit_log
   when exists (select 1 from audit_log where sequence = new.sequence or id = new.id)
   begin select raise(abort, '${APPEND_ONLY}'); end`,
]

const POSTGRES_TRIGGERS = [
  `create function audit_log_refuse() returns trigger language plpgsql as
   $$ begin raise exception '${APPEND_ONLY}'; end $$`,
  `create trigger audit_log_no_change before update or delete on audit_log
   for each row execute function audit_log_refuse()`,
  `create trigger audit_log_no_truncate before truncate on audit_log
   for each statement execute function audit_log_refuse()`,
]

export const auditAndKeys: Migration = {
  async up(db: Kysely<unknown>) {
    const postgres = isPostgres(db)
    const text = postgres ? sql`text collate "C"` : ('text' as const)
    // Null: wrapped before the name of the master key was kept; the next start that opens it fills it in.
    await db.schema.alterTable('data_keys').addColumn('master_key_id', text).execute()
    for (const column of ['organization_id', 'principal_id', 'object_id', 'ip_address', 'result'])
      await makeIndex(db, 'audit_log', [column, 'sequence'])
    for (const trigger of postgres ? POSTGRES_TRIGGERS : SQLITE_TRIGGERS) await sql.raw(trigger).execute(db)
  },
}
