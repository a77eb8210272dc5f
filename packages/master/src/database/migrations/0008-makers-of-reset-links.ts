import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres } from './make-table.ts'

/** A link of before, whose maker is not known, is worth nothing: it lives for a day. */
export const makersOfResetLinks: Migration = {
  async up(db: Kysely<unknown>) {
    const text = isPostgres(db) ? sql`text collate "C"` : ('text' as const)
    for (const column of ['created_by_type', 'created_by_id'])
      await db.schema.alterTable('reset_links').addColumn(column, text).execute()
  },
}
