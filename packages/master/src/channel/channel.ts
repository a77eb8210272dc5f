import type { AgentFacts, AgentMessage, AgentPosition, MasterMessage } from '@nxmesh/contract'

/** What the rest of the master knows of the channel. */
export interface Channel {
  /**
   * Sends a message; false when the agent has no connection or its queue is full (then the connection is cut, and the
   * agent comes back and is resynchronized). Never waits.
   */
  send(agent_id: string, message: MasterMessage): boolean
  isOnline(agent_id: string): boolean
  onlineAgents(): ReadonlySet<string>
  /** Ends the connection of an agent at once, e.g. when it is deregistered. */
  cut(agent_id: string, reason: string): void
}

/** Implemented by deployments (and by agents, for state); called in the order of the frames of one agent. */
export interface ChannelListener {
  /** After the first valid MAC and the agent's hello; the agent is online now. */
  connected(agent_id: string, facts: AgentFacts, position: AgentPosition, ip_address: string): Promise<void>
  message(agent_id: string, message: AgentMessage): Promise<void>
  disconnected(agent_id: string): Promise<void>
}
