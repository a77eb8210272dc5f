import type { Permission } from '@nxmesh/contract'
import type { Caller } from './caller.ts'

const NO_PERMISSIONS: ReadonlySet<Permission> = new Set()

/** A caller that may do nothing: whoever sent a request without credentials, an agent at the door, the master itself. */
export function nobody(
  who: Pick<Caller, 'principal' | 'name' | 'door' | 'ip_address' | 'request_id'>,
): Caller {
  return { ...who, email: null, grants: [], permissions: NO_PERMISSIONS, session_id: null }
}

/** The master, where it does something by itself. */
export const systemCaller = (request_id: string): Caller =>
  nobody({
    principal: { type: 'system', id: null },
    name: 'system',
    door: 'system',
    ip_address: null,
    request_id,
  })
