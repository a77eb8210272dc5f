import { ROLE_IDS } from '@nxmesh/contract'
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { makeTable, type TableShape } from './make-table.ts'

const PLACE = { organization_id: 'text?', workspace_id: 'text?' } as const
const PLACE_REFERENCES = {
  organization_id: { table: 'organizations', on_delete: 'cascade' },
  workspace_id: { table: 'workspaces', on_delete: 'cascade' },
} as const
const MADE_BY = { created_by_type: 'text', created_by_id: 'text?', created_at: 'text' } as const

const USERS: TableShape = {
  columns: {
    id: 'text',
    email: 'text',
    name: 'text',
    password_hash: 'text?',
    status: 'text',
    created_at: 'text',
    last_login_at: 'text?',
  },
  primary: ['id'],
  unique: [['email']],
}

const API_KEYS: TableShape = {
  columns: {
    id: 'text',
    name: 'text',
    prefix: 'text',
    key_hash: 'text',
    role_id: 'text',
    ...PLACE,
    ...MADE_BY,
    expires_at: 'text?',
    last_used_at: 'text?',
  },
  primary: ['id'],
  unique: [['key_hash']],
  indexes: [['organization_id'], ['workspace_id'], ['created_by_id'], ['role_id']],
  references: PLACE_REFERENCES,
}

const OTHERS: Record<string, TableShape> = {
  sessions: {
    columns: {
      id: 'text',
      user_id: 'text',
      method: 'text',
      refresh_hash: 'text',
      created_at: 'text',
      refreshed_at: 'text',
      expires_at: 'text',
      ip_address: 'text?',
      user_agent: 'text?',
    },
    primary: ['id'],
    unique: [['refresh_hash']],
    indexes: [['user_id'], ['expires_at']],
    references: { user_id: { table: 'users', on_delete: 'cascade' } },
  },
  used_refresh_tokens: {
    columns: { token_hash: 'text', session_id: 'text', used_at: 'text' },
    primary: ['token_hash'],
    indexes: [['session_id', 'used_at']],
    references: { session_id: { table: 'sessions', on_delete: 'cascade' } },
  },
  signing_keys: {
    columns: {
      id: 'text',
      public_jwk_json: 'text',
      sealed_key: 'text',
      created_at: 'text',
      retired_at: 'text?',
    },
    primary: ['id'],
  },
  roles: {
    columns: {
      id: 'text',
      organization_id: 'text',
      name: 'text',
      permissions_json: 'text',
      created_at: 'text',
    },
    primary: ['id'],
    unique: [['organization_id', 'name']],
    references: { organization_id: { table: 'organizations', on_delete: 'cascade' } },
  },
  role_bindings: {
    columns: {
      id: 'text',
      user_id: 'text',
      role_id: 'text',
      ...PLACE,
      provider_id: 'text?',
      created_at: 'text',
    },
    primary: ['id'],
    indexes: [['user_id'], ['organization_id'], ['workspace_id'], ['role_id'], ['provider_id']],
    references: { user_id: { table: 'users', on_delete: 'cascade' }, ...PLACE_REFERENCES },
  },
  invitations: {
    columns: {
      id: 'text',
      email: 'text',
      name: 'text?',
      role_id: 'text',
      ...PLACE,
      token_hash: 'text',
      ...MADE_BY,
      expires_at: 'text',
    },
    primary: ['id'],
    unique: [['token_hash']],
    indexes: [['organization_id'], ['expires_at']],
    references: PLACE_REFERENCES,
  },
  reset_links: {
    columns: { id: 'text', user_id: 'text', token_hash: 'text', created_at: 'text', expires_at: 'text' },
    primary: ['id'],
    unique: [['token_hash']],
    indexes: [['user_id']],
    references: { user_id: { table: 'users', on_delete: 'cascade' } },
  },
}

/**
 * People, roles and keys. Whoever had the one account of before is the instance's administrator and the owner of every
 * organization; a key of before is an owner's in the first organization. Sessions end: people log in again.
 */
export const peopleAndRoles: Migration = {
  async up(db: Kysely<unknown>) {
    const { users, keys } = await takeOut(db)
    await makeTable(db, 'users', USERS)
    for (const [name, shape] of Object.entries(OTHERS)) await makeTable(db, name, shape)
    await makeTable(db, 'api_keys', API_KEYS)
    await putBack(db as Kysely<Kept>, users, keys)
  },
}

interface OldUser {
  id: string
  email: string
  name: string
  password_hash: string
  created_at: string
}
interface OldKey {
  id: string
  user_id: string
  name: string
  prefix: string
  key_hash: string
  created_at: string
  expires_at: string | null
  last_used_at: string | null
}
/** What this file writes to: the tables as it makes them, whatever they become later. */
interface Kept {
  users: Record<string, string | null>
  role_bindings: Record<string, string | null>
  api_keys: Record<string, string | null>
}

/** SQLite changes no column that something refers to, so the few rows of before are read and their tables made anew. */
async function takeOut(db: Kysely<unknown>): Promise<{ users: OldUser[]; keys: OldKey[] }> {
  const users = await sql<OldUser>`select * from users`.execute(db)
  const keys = await sql<OldKey>`select * from api_keys`.execute(db)
  for (const table of ['sessions', 'api_keys', 'users']) await db.schema.dropTable(table).execute()
  return { users: users.rows, keys: keys.rows }
}

async function putBack(db: Kysely<Kept>, users: readonly OldUser[], keys: readonly OldKey[]): Promise<void> {
  const found = await sql<{ id: string }>`select id from organizations order by created_at, id`.execute(db)
  const organizations = found.rows.map(row => row.id)
  for (const { id, email, name, password_hash, created_at } of users) {
    const user = { id, email, name, password_hash, status: 'active', created_at, last_login_at: null }
    await db.insertInto('users').values(user).execute()
    const bind = async (number: number, role_id: string, organization_id: string | null) => {
      const place = { organization_id, workspace_id: null, provider_id: null }
      const row = { id: derivedId(id, number), user_id: id, role_id, ...place, created_at }
      await db.insertInto('role_bindings').values(row).execute()
    }
    await bind(0, ROLE_IDS.instance_admin, null)
    for (const [at, organization_id] of organizations.entries())
      await bind(at + 1, ROLE_IDS.owner, organization_id)
  }
  const [first] = organizations
  if (first === undefined) return
  for (const { user_id, ...key } of keys) {
    const place = { role_id: ROLE_IDS.owner, organization_id: first, workspace_id: null }
    const made = { created_by_type: 'user', created_by_id: user_id }
    await db
      .insertInto('api_keys')
      .values({ ...key, ...place, ...made })
      .execute()
  }
}

/** An id that follows from another one, so that the migration makes the same rows wherever it runs. */
const derivedId = (id: string, number: number): string =>
  id.slice(0, -12) +
  ((Number.parseInt(id.slice(-12), 16) + 1 + number) % 2 ** 48).toString(16).padStart(12, '0')
