import type { Permission, Principal } from '@nxmesh/contract'

/** Who calls, through which door, from where; made once per request and passed to every service. */
export interface Caller {
  readonly principal: Principal
  readonly name: string
  readonly email: string | null
  readonly permissions: ReadonlySet<Permission>
  readonly door: 'rest' | 'channel' | 'system' | 'setup'
  /** The peer's address; null where there is none. */
  readonly ip_address: string | null
  readonly request_id: string
  /** The session that authenticated, for logout; null with an API key. */
  readonly session_id: string | null
}

/**
 * The one object check, called by services, for every door. Throws `ApiError('FORBIDDEN')` naming the permission.
 * Every caller may see every organization in this version (the only role is owner); the scope is passed
 * already, so that bindings can narrow it without touching a caller.
 */
export interface Access {
  require(caller: Caller, permission: Permission, scope: Scope): void
}

export type Scope =
  | { readonly type: 'instance' }
  | { readonly type: 'organization'; readonly organization_id: string }
  | { readonly type: 'workspace'; readonly workspace_id: string }
