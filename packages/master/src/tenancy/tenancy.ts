import type { Organization, OrganizationPatch, OrganizationSettings, Workspace } from '@nxmesh/contract'
import type { Caller } from '../access/caller.ts'
import type { Queryable, Tx } from '../database/database.ts'
import type { PageOf } from '../http/page.ts'

/** The order of a plan: the agent refuses a lower (epoch, generation) than it has answered. */
export interface PlanOrder {
  readonly epoch: number
  readonly generation: number
}

/** What is deleted: these workspaces, and the organization when it goes with them. */
export interface Doomed {
  readonly organization_id: string | null
  readonly workspace_ids: readonly string[]
}

/** How many of one noun. */
export interface Content {
  /** The noun, in the plural: `virtual_hosts`. */
  readonly field: string
  readonly count: number
  /** What a person should know of them before they go. */
  readonly note?: string
}

/** What an area has put into tenants. Each area that does gives one to tenancy, and knows nothing else of deletions. */
export interface TenantContents {
  count(db: Queryable, of: Doomed): Promise<readonly Content[]>
  /**
   * In the transaction that deletes: whatever acts by itself, or opens a door, ends here, also for a master that starts later.
   * What memory holds of it goes with `afterCommit`. It may take a fraction of a second, not more.
   */
  close?(tx: Tx, of: Doomed): Promise<void>
  /**
   * After that, again and again until it answers 0, each time in a transaction of its own: deletes about `max_rows` rows of a
   * workspace that was deleted. Answers how many.
   */
  purge?(tx: Tx, workspace_id: string, max_rows: number): Promise<number>
}

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
  /** Throws CONFLICT that names `slug`, VALIDATION_ERROR for settings that name what is not there. */
  create(
    caller: Caller,
    input: { name: string; slug: string; settings?: OrganizationSettings | undefined },
  ): Promise<Organization>
  update(caller: Caller, id: string, patch: OrganizationPatch): Promise<Organization>
  /**
   * Everything in it goes as well. `confirm`: its slug; undefined throws CONFIRMATION_REQUIRED with what would go, another one
   * VALIDATION_ERROR.
   */
  remove(caller: Caller, id: string, confirm: string | undefined): Promise<void>
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
  /** Throws NOT_FOUND for the organization, CONFLICT that names `slug` or `name`. */
  create(caller: Caller, input: WorkspaceInput): Promise<Workspace>
  /** Agents that a changed list of networks no longer admits are cut before it resolves. */
  update(caller: Caller, id: string, patch: WorkspaceChange): Promise<Workspace>
  /** As that of an organization. */
  remove(caller: Caller, id: string, confirm: string | undefined): Promise<void>
}
