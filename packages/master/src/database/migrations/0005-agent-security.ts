import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres, makeIndex } from './make-table.ts'

export const agentSecurity: Migration = {
  async up(db: Kysely<unknown>) {
    const text = isPostgres(db) ? sql`text collate "C"` : ('text' as const)
    await db.schema.alterTable('agent_keys').addColumn('ends_at', text).execute()
    // What the master would have to sort out otherwise, no two writers can do.
    for (const status of ['primary', 'candidate'])
      await sql`create unique index ${sql.ref(`agent_keys_one_${status}`)} on agent_keys (agent_id)
        where status = ${sql.lit(status)}`.execute(db)
    // The keys that are due, for the sweeps.
    await makeIndex(db, 'agent_keys', ['status', 'created_at'])
    await makeIndex(db, 'agent_keys', ['status', 'ends_at'])
    await db.schema.alterTable('workspaces').addColumn('agent_allowed_cidrs_json', text).execute()
    await db.schema
      .alterTable('bootstrap_tokens')
      .addColumn('labels_json', text, column => column.notNull().defaultTo('{}'))
      .execute()
    // A key that ended opens nothing any more.
    await sql`update agent_keys set sealed_key = '' where status = 'ended'`.execute(db)
  },
}
