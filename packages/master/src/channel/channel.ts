import type { AgentFacts, AgentMessage, AgentPosition, MasterMessage } from '@nxmesh/contract'

/** What the rest of the master knows of the channel. */
export interface Channel {
  /**
   * Sends a message; false when the agent has no connection or its queue is full (then the connection is cut, and the
   * agent comes back and is resynchronized). Never waits.
   */
  send(agent_id: string, message: MasterMessage): boolean
  isOnline(agent_id: string): boolean
  /** The agent's connection; null when it has none. */
  linkOf(agent_id: string): ChannelLink | null
  onlineAgents(): ReadonlySet<string>
  /** Ends the connections of an agent at once, e.g. when it is deregistered; also those that have said no hello yet. */
  cut(agent_id: string, reason: string): void
  /** The same for the agents of a workspace whose address is not admitted any more. */
  cutOutside(workspace_id: string, admits: (ip_address: string | null) => boolean): void
}

/** One connection of an agent. */
export interface ChannelLink {
  /** The greeting's: what both ends know. */
  readonly protocol: number
  /** The key that signed the upgrade. */
  readonly key_id: string
  /** From the greeting. */
  readonly server_nonce: string
}

/** Implemented by deployments (and by agents, for state); called in the order of the frames of one agent. */
export interface ChannelListener {
  /** After the first valid MAC and the agent's hello; the agent is online now. */
  connected(agent_id: string, facts: AgentFacts, position: AgentPosition, ip_address: string): Promise<void>
  message(agent_id: string, message: AgentMessage): Promise<void>
  disconnected(agent_id: string): Promise<void>
}
