import type { Agent, AuditEntry, DeploymentSummary, TargetState } from '@nxmesh/contract'
import type { Server, WebSocketHandler } from 'bun'
import type { Connection } from '../http/connection.ts'

/** What areas tell when something has changed, after the commit. Never throws, never waits. */
export interface Changes {
  deployment(changed: { readonly id: string; readonly workspace_id: string }): void
  /** `workspace_id` null: not known to who tells. */
  agent(changed: { readonly agent_id: string; readonly workspace_id: string | null }): void
  audit(entry: AuditEntry): void
}

/** How what changed is read, as the lists show it, for many at once; ids of nothing are left out. */
export interface ChangeReaders {
  deployments(
    ids: readonly string[],
  ): Promise<
    readonly { deployment: DeploymentSummary; target_states: Partial<Record<TargetState, number>> }[]
  >
  agents(ids: readonly string[]): Promise<readonly Agent[]>
  workspaceOf(agent_id: string): Promise<string | null>
  organizationOf(workspace_id: string): Promise<string | null>
}

/** What the listeners need of the events socket. `Data` is what its WebSockets carry. */
export interface EventsDoor<Data> {
  /** Answers a request on EVENTS_PATH; undefined when it became a WebSocket. */
  upgrade(request: Request, server: Server<Data>, connection: Connection): Promise<Response | undefined>
  readonly websocket: WebSocketHandler<Data>
  /** Whether a socket of a server that has others as well is one of this door. */
  owns(data: unknown): data is Data
}
