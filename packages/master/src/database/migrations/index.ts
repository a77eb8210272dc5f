import type { Migration } from 'kysely/migration'
import { initialSchema } from './0001-initial-schema.ts'
import { claimsAndFollowers } from './0002-claims-and-followers.ts'
import { peopleAndRoles } from './0003-people-and-roles.ts'
import { auditAndKeys } from './0004-audit-and-keys.ts'
import { agentSecurity } from './0005-agent-security.ts'
import { identityProviders } from './0006-identity-providers.ts'
import { deletedTenants } from './0007-deleted-tenants.ts'
import { makersOfResetLinks } from './0008-makers-of-reset-links.ts'

/** In order of their names. Compiled in, so that the executable needs no folder beside it. A migration that was released never changes. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-initial-schema': initialSchema,
  '0002-claims-and-followers': claimsAndFollowers,
  '0003-people-and-roles': peopleAndRoles,
  '0004-audit-and-keys': auditAndKeys,
  '0005-agent-security': agentSecurity,
  '0006-identity-providers': identityProviders,
  '0007-deleted-tenants': deletedTenants,
  '0008-makers-of-reset-links': makersOfResetLinks,
}
