import type { Deployment } from '@nxmesh/contract'
import type { Caller } from '../access/caller.ts'
import type { AcceptedChange } from '../config/snapshot.ts'
import type { Tx } from '../database/database.ts'

/** What the area of configuration needs of deployments. */
export interface Deployments {
  /**
   * Makes the release that holds the change and its deployment row, in the transaction of the change. Null when the caller
   * lacks `config:deploy` or the workspace deploys manually.
   */
  release(
    tx: Tx,
    caller: Caller,
    workspace_id: string,
    change: AcceptedChange,
  ): Promise<{ deployment_id: string } | null>
  /** After the commit: starts the workspace's queue. Never waits for it. */
  wake(workspace_id: string): void
  /** Resolves when the deployment ends, or with its state at the end of the wait. A superseded one is followed to the one that absorbed it. */
  waitFor(caller: Caller, deployment_id: string, timeout_ms: number): Promise<Deployment>
}
