import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres, makeIndex, makeTable } from './make-table.ts'

/** Who tells the master who somebody is, whom they told it of, and log-ins that are under way. */
export const identityProviders: Migration = {
  async up(db: Kysely<unknown>) {
    await makeTable(db, 'identity_providers', {
      columns: {
        id: 'text',
        name: 'text',
        kind: 'text',
        issuer: 'text',
        client_id: 'text',
        sealed_client_secret: 'text?',
        scopes_json: 'text',
        groups_claim: 'text',
        enabled: 'int',
        allow_sign_up: 'int',
        group_mappings_json: 'text',
        created_at: 'text',
        updated_at: 'text',
      },
      primary: ['id'],
      unique: [['name']],
    })
    await makeTable(db, 'identities', {
      columns: {
        id: 'text',
        issuer: 'text',
        subject: 'text',
        provider_id: 'text?',
        user_id: 'text',
        created_at: 'text',
        last_login_at: 'text?',
      },
      primary: ['id'],
      unique: [['issuer', 'subject']],
      indexes: [['user_id'], ['provider_id']],
      references: { user_id: { table: 'users', on_delete: 'cascade' } },
    })
    await makeTable(db, 'pending_logins', {
      columns: {
        state_hash: 'text',
        binding_hash: 'text',
        provider_id: 'text',
        sealed_checks: 'text',
        return_to: 'text',
        user_id: 'text?',
        session_id: 'text?',
        address: 'text',
        created_at: 'text',
        expires_at: 'text',
      },
      primary: ['state_hash'],
      indexes: [['address'], ['created_at'], ['expires_at'], ['provider_id'], ['user_id'], ['session_id']],
      references: {
        provider_id: { table: 'identity_providers', on_delete: 'cascade' },
        user_id: { table: 'users', on_delete: 'cascade' },
        session_id: { table: 'sessions', on_delete: 'cascade' },
      },
    })
    const text = isPostgres(db) ? sql`text collate "C"` : ('text' as const)
    await db.schema.alterTable('sessions').addColumn('provider_id', text).execute()
    await db.schema.alterTable('sessions').addColumn('sealed_id_token', text).execute()
    await makeIndex(db, 'sessions', ['provider_id'])
  },
}
