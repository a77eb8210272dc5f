import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres } from './make-table.ts'

/** A tenant that was deleted is gone at once, its rows go in steps. */
export const deletedTenants: Migration = {
  async up(db: Kysely<unknown>) {
    const text = isPostgres(db) ? sql`text collate "C"` : ('text' as const)
    for (const table of ['organizations', 'workspaces'])
      await db.schema.alterTable(table).addColumn('deleted_at', text).execute()
  },
}
