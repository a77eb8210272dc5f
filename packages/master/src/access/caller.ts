import type { ApiError, Permission, Principal } from '@nxmesh/contract'

/** What one role binding permits, and where. An organization's grant holds in each of its workspaces. */
export interface Grant {
  /** Null: the whole instance. */
  readonly organization_id: string | null
  /** Null: the whole organization. */
  readonly workspace_id: string | null
  readonly role_id: string
  readonly permissions: ReadonlySet<Permission>
}

/** Who calls, through which door, from where; made once per request and passed to every service. */
export interface Caller {
  readonly principal: Principal
  readonly name: string
  readonly email: string | null
  readonly grants: readonly Grant[]
  /** All that the grants permit somewhere: for refusing early. What decides is `Access`, for the object. */
  readonly permissions: ReadonlySet<Permission>
  readonly door: 'rest' | 'events' | 'channel' | 'system' | 'setup' | 'command'
  /** The peer's address; null where there is none. */
  readonly ip_address: string | null
  readonly request_id: string
  /** The session that authenticated, for logout; null with an API key. */
  readonly session_id: string | null
}

export type Scope =
  | { readonly type: 'instance' }
  | { readonly type: 'organization'; readonly organization_id: string }
  | { readonly type: 'workspace'; readonly workspace_id: string }

/** Where a permission holds. */
export interface Reach {
  /** The whole instance: the lists are not looked at. */
  readonly everything: boolean
  readonly organization_ids: readonly string[]
  readonly workspace_ids: readonly string[]
}

/** The one object check, called by services, for every door. */
export interface Access {
  /**
   * Throws FORBIDDEN, naming the permission, when the caller has others there; NOT_FOUND when the caller has none: what
   * belongs to strangers looks like what is not there. `absent` is the error that the service gives for an object that is not
   * there; without it the scope's own.
   */
  require(caller: Caller, permission: Permission, scope: Scope, absent?: () => ApiError): Promise<void>
  allows(caller: Caller, permission: Permission, scope: Scope): Promise<boolean>
  /** For lists: where the permission holds. */
  reach(caller: Caller, permission: Permission): Promise<Reach>
  /**
   * The workspaces in which the permission holds, for a list that names none. With `workspace_id` only that one, after
   * `require`. Throws VALIDATION_ERROR when there are too many to look through at once.
   */
  workspaces(
    caller: Caller,
    permission: Permission,
    workspace_id: string | undefined,
  ): Promise<readonly string[]>
}
