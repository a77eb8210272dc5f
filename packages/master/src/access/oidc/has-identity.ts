import type { Queryable } from '../../database/database.ts'
import { identitiesOf } from './identities-store.ts'

/** Whether somebody can log in by an identity provider. */
export const hasIdentity = async (db: Queryable, user_id: string): Promise<boolean> =>
  (await identitiesOf(db, user_id)).length > 0
