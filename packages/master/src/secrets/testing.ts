import { randomBytes } from 'node:crypto'
import type { Database } from '../database/database.ts'
import { newId } from '../ids.ts'
import type { Secrets } from './secrets.ts'
import { openSecrets } from './secrets-service.ts'

/** Real secrets for tests of other areas, under a random master key. */
export function openTestSecrets(db: Database): Promise<Secrets> {
  const value = randomBytes(32).toString('base64url')
  const source = { value, command: null, file: '/nonexistent', may_create: false }
  return openSecrets({ db, source, now: () => new Date(), newId })
}
