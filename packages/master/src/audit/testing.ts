import { sql } from 'kysely'
import type { Database, Tx } from '../database/database.ts'
import { newId } from '../ids.ts'
import { makeHomes } from '../tenancy/homes.ts'
import type { AuditLog } from './audit.ts'
import { makeAuditLog } from './audit-service.ts'

/** The real log, for tests of other areas. */
export const openTestAudit = (db: Database, now: () => Date = () => new Date()): AuditLog =>
  makeAuditLog({ db, now, newId, organizationOf: makeHomes() })

/** What a person with the database's own tools can do as well. */
export async function dropAuditTriggers(tx: Tx, engine: Database['engine']): Promise<void> {
  const triggers =
    engine === 'sqlite'
      ? ['audit_log_no_update', 'audit_log_no_delete', 'audit_log_no_replace']
      : ['audit_log_no_change on audit_log', 'audit_log_no_truncate on audit_log']
  for (const trigger of triggers) await sql.raw(`drop trigger if exists ${trigger}`).execute(tx)
}

export async function runStatement(tx: Tx, statement: string): Promise<void> {
  await sql.raw(statement).execute(tx)
}

/** An organization with one workspace. */
export async function makeTestWorkspace(db: Database, slug: string) {
  const [organization_id, workspace_id] = [newId(), newId()]
  const created_at = new Date().toISOString()
  await db.write(async tx => {
    const organization = { id: organization_id, name: slug, slug, settings_json: '{}', created_at }
    await tx.insertInto('organizations').values(organization).execute()
    const counters = { deploy_mode: 'automatic', epoch: 1, generation: 0, release_number: 0 }
    await tx
      .insertInto('workspaces')
      .values({ id: workspace_id, organization_id, name: slug, slug, created_at, ...counters })
      .execute()
  })
  return { organization_id, workspace_id }
}
