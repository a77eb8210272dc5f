import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres, makeIndex, makeTable } from './make-table.ts'

export const claimsAndFollowers: Migration = {
  async up(db: Kysely<unknown>) {
    await makeTable(db, 'resource_claims', {
      columns: { workspace_id: 'text', claim: 'text', kind: 'text', resource_id: 'text' },
      primary: ['workspace_id', 'claim'],
      indexes: [['resource_id']],
    })
    const text = isPostgres(db) ? sql`text collate "C"` : ('text' as const)
    await db.schema.alterTable('deployments').addColumn('followed_by', text).execute()
    // What changed between two releases is found without reading the others.
    await makeIndex(db, 'release_items', ['workspace_id', 'from_number'])
  },
}
