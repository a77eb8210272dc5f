import { afterCommit } from '../database/after-commit.ts'
import type { Tx } from '../database/database.ts'

/** A deployment by its id, and where it belongs. */
export interface ChangedDeployment {
  readonly id: string
  readonly workspace_id: string
}

/** Whom deployments tell what has changed, once it is durable. It must not throw. */
export interface DeliveryChanges {
  deployment(changed: ChangedDeployment): void
  /** What an agent shall serve, or proved to serve. */
  position(agent_id: string): void
}

/** Tells of a deployment whose row or targets this transaction changes; never when it is rolled back. */
export function tell(
  { changed }: { readonly changed?: DeliveryChanges | undefined },
  tx: Tx,
  { id, workspace_id }: ChangedDeployment,
): void {
  if (changed) afterCommit(tx, () => changed.deployment({ id, workspace_id }))
}
