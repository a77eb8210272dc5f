import type {
  Agent,
  AgentFacts,
  AgentKey,
  AgentKeyRotation,
  AgentRegistered,
  BootstrapToken,
  BootstrapTokenInfo,
  Labels,
} from '@nxmesh/contract'
import type { Caller } from '../access/caller.ts'
import type { Tx } from '../database/database.ts'
import type { PageOf } from '../http/page.ts'

/** An agent as the rest of the master sees it. `facts` is null before its first connection. */
export interface KnownAgent {
  readonly id: string
  readonly workspace_id: string
  readonly name: string
  readonly labels: Labels
  readonly facts: AgentFacts | null
  readonly online: boolean
}

/** Answers from memory once a workspace was read; sees every change that was committed before the call. */
export interface AgentDirectory {
  agentsOf(workspace_id: string): Promise<readonly KnownAgent[]>
  /** Null when there is no such agent. */
  agentOf(agent_id: string): Promise<KnownAgent | null>
  /** Null when there is no such agent. */
  workspaceOf(agent_id: string): Promise<string | null>
}

/** What this area needs of deployments. */
export interface AgentPositions {
  /** What agents shall serve and what they proved to serve; those that never had a deployment may be absent. */
  positions(agent_ids: readonly string[]): Promise<ReadonlyMap<string, Agent['config']>>
  /** After the commit of a change of labels. */
  labelsChanged(agent_id: string): Promise<void> | void
  /** In the transaction that deletes agents: what is known of them goes with it. */
  forget(tx: Tx, agent_ids: readonly string[]): Promise<void>
}

export interface AgentInput {
  readonly workspace_id: string
  readonly name: string
  readonly labels: Labels
  readonly deployment_mode: Agent['deployment_mode']
}

export interface AgentChange {
  readonly name?: string | undefined
  readonly labels?: Labels | undefined
}

export interface Agents {
  list(
    caller: Caller,
    query: { page: number; per_page: number; workspace_id?: string | undefined },
  ): Promise<PageOf<Agent>>
  get(caller: Caller, id: string): Promise<Agent>
  /** A pending agent. Throws CONFLICT that names `name`, LIMIT_REACHED. */
  create(caller: Caller, input: AgentInput): Promise<Agent>
  update(caller: Caller, id: string, change: AgentChange): Promise<Agent>
  /** Its key ends and its connection is cut. */
  remove(caller: Caller, id: string): Promise<void>
  /** Throws CONFLICT when the agent has no hold or no connection. */
  liftHold(caller: Caller, id: string): Promise<Agent>
}

/** The session keys of agents, for people. */
export interface AgentKeyDoors {
  /** Without the keys themselves, the newest first. */
  list(caller: Caller, id: string, query: { page: number; per_page: number }): Promise<PageOf<AgentKey>>
  /** Throws CONFLICT when the agent has no key yet, or speaks a protocol without rotation. */
  rotate(caller: Caller, id: string): Promise<AgentKeyRotation>
  /** All keys end and the connection is cut; it registers again with a token. */
  revoke(caller: Caller, id: string): Promise<Agent>
}

export interface TokenInput {
  readonly expires_in_h: number
  readonly max_uses: number
  /** The join command pins the master's key; absent: it does not. */
  readonly pin_server_key?: boolean
  /** Of the agents that register with it; an agent's own token has none. */
  readonly labels?: Labels
}

/** Bootstrap tokens: the token is in the answer and nowhere else. */
export interface BootstrapTokens {
  forAgent(caller: Caller, agent_id: string, input: TokenInput): Promise<BootstrapToken>
  forWorkspace(caller: Caller, workspace_id: string, input: TokenInput): Promise<BootstrapToken>
  /** Without the tokens themselves, the newest first. */
  list(
    caller: Caller,
    workspace_id: string,
    query: { page: number; per_page: number },
  ): Promise<PageOf<BootstrapTokenInfo>>
  revoke(caller: Caller, workspace_id: string, token_id: string): Promise<void>
}

export interface RegisterInput {
  readonly token: string
  readonly name?: string | undefined
  readonly hostname: string
  readonly version: string
}

export interface Registration {
  /** `caller`: whoever sent it; the token decides. Throws BOOTSTRAP_TOKEN_INVALID, RATE_LIMITED, LIMIT_REACHED. */
  register(caller: Caller, input: RegisterInput): Promise<AgentRegistered>
}
