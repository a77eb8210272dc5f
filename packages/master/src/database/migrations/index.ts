import type { Migration } from 'kysely/migration'
import { initialSchema } from './0001-initial-schema.ts'
import { claimsAndFollowers } from './0002-claims-and-followers.ts'
import { auditAndKeys } from './0004-audit-and-keys.ts'

/** In order of their names. Compiled in, so that the executable needs no folder beside it. A migration that was released never changes. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-initial-schema': initialSchema,
  '0002-claims-and-followers': claimsAndFollowers,
  '0004-audit-and-keys': auditAndKeys,
}
