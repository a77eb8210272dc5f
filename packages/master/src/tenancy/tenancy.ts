import type { Organization, Workspace } from '@nxmesh/contract'
import type { Caller } from '../access/caller.ts'
import type { Queryable, Tx } from '../database/database.ts'
import type { PageOf } from '../http/page.ts'

/** The order of a plan: the agent refuses a lower (epoch, generation) than it has answered. */
export interface PlanOrder {
  readonly epoch: number
  readonly generation: number
}

/** What keeps a workspace from being deleted, as `details` of IN_USE; asked of every area that puts things into one. */
export type WorkspaceUsage = (
  tx: Tx,
  workspace_id: string,
) => Promise<readonly { readonly field: string; readonly message: string }[]>

/** What other areas need of tenancy. Without a caller: who may is checked by the service that calls. */
export interface Tenancy {
  /** Throws NOT_FOUND. */
  workspaceOf(db: Queryable, id: string): Promise<Workspace>
  /**
   * Holds the workspace's row until the transaction ends, so that changes of one workspace follow each other. Throws NOT_FOUND.
   */
  lockWorkspace(tx: Tx, id: string): Promise<Workspace>
  /** The next order of the workspace; later ones are always higher. Takes the row's lock: call it before the snapshot is read. */
  nextGeneration(tx: Tx, workspace_id: string): Promise<PlanOrder>
  /** The number of the next release, from 1 on, without gaps. Takes the row's lock. */
  nextReleaseNumber(tx: Tx, workspace_id: string): Promise<number>
  /** Makes the first organization and workspace, both `default`, where there is no organization; answers the ids of all that are there. */
  ensureFirst(tx: Tx, caller: Caller): Promise<readonly string[]>
}

export interface PageOfQuery {
  readonly page: number
  readonly per_page: number
}

export interface Organizations {
  list(caller: Caller, query: PageOfQuery): Promise<PageOf<Organization>>
  get(caller: Caller, id: string): Promise<Organization>
  /** Throws CONFLICT that names `slug`. */
  create(caller: Caller, input: { name: string; slug: string }): Promise<Organization>
  update(
    caller: Caller,
    id: string,
    patch: { name?: string | undefined; slug?: string | undefined },
  ): Promise<Organization>
  /** Throws IN_USE with the workspaces. */
  remove(caller: Caller, id: string): Promise<void>
}

export interface WorkspaceInput {
  readonly organization_id: string
  readonly name: string
  readonly slug: string
  /** From where agents may come; null (and absent): from everywhere. */
  readonly agent_allowed_cidrs?: readonly string[] | null | undefined
}
export interface WorkspaceChange {
  readonly name?: string | undefined
  readonly slug?: string | undefined
  readonly agent_allowed_cidrs?: readonly string[] | null | undefined
}

export interface Workspaces {
  list(
    caller: Caller,
    query: PageOfQuery & { organization_id?: string | undefined },
  ): Promise<PageOf<Workspace>>
  get(caller: Caller, id: string): Promise<Workspace>
  /** Throws NOT_FOUND for the organization, CONFLICT that names `slug`. */
  create(caller: Caller, input: WorkspaceInput): Promise<Workspace>
  /** Agents that a changed list of networks no longer admits are cut before it resolves. */
  update(caller: Caller, id: string, patch: WorkspaceChange): Promise<Workspace>
  /** Throws IN_USE with what is still in it. */
  remove(caller: Caller, id: string): Promise<void>
}
