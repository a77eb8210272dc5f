import { PERMISSIONS, type Permission } from '@nxmesh/contract'
import type { Database } from '../database/database.ts'
import { newId } from '../ids.ts'
import { makePlaces } from '../tenancy/places.ts'
import { makeAccess } from './access-service.ts'
import type { Access, Caller } from './caller.ts'

/** The real check, for tests of other areas. */
export const openTestAccess = (db: Database): Access => makeAccess(makePlaces(db))

/** A user who may do these things everywhere. */
export function callerWith(permissions: readonly Permission[] = PERMISSIONS): Caller {
  const granted = new Set(permissions)
  return {
    principal: { type: 'user', id: newId() },
    name: 'Ada',
    email: 'ada@example.test',
    grants: [{ organization_id: null, workspace_id: null, role_id: newId(), permissions: granted }],
    permissions: granted,
    door: 'rest',
    ip_address: '192.0.2.1',
    request_id: 'test',
    session_id: null,
  }
}
