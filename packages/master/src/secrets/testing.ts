import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { openTestAudit } from '../audit/testing.ts'
import type { Database } from '../database/database.ts'
import { newId } from '../ids.ts'
import type { SecretReads } from './secret-reads.ts'
import type { Secrets } from './secrets.ts'
import { openSecrets } from './secrets-service.ts'

export const UNRECORDED: SecretReads = { note: () => {}, record: async () => {}, stop: async () => {} }

/** Real secrets for tests of other areas, under a random master key. What is read is not put into the audit log. */
export function openTestSecrets(db: Database): Promise<Secrets> {
  const value = randomBytes(32).toString('base64url')
  const source = { value, command: null, file: '/nonexistent', may_create: false }
  return openSecrets({
    db,
    source,
    audit: openTestAudit(db),
    log: pino({ level: 'silent' }),
    now: () => new Date(),
    newId,
    reads: UNRECORDED,
  })
}
