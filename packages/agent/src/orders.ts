import type {
  AgentFacts,
  AgentMessage,
  AgentPosition,
  MasterMessageOf,
} from '@nxmesh/contract/channel/messages'

/**
 * What the master may ask of this agent, as the link hands it over: in the order of the frames, one call after another.
 * Every call returns at once; the work goes on in the agent's one queue and is answered through `Reports`. Everything is at
 * least once: an order that was already carried out is answered again.
 */
export interface Orders {
  /** Where answers go; called before anything else. Replaced when the link is replaced. */
  attach(reports: Reports): void
  /** Phase one. Answered by `prepared`, `rejected` or `unable`; asks by `need` for what is missing. */
  prepare(message: MasterMessageOf<'prepare'>): void
  /** Objects for a prepare; each is verified against its hash before it is kept. */
  objects(message: MasterMessageOf<'objects'>): void
  /** Phase two. Answered by `loaded` and `serving`, or by `failed`; `unable` when this was not what was prepared. */
  commit(message: MasterMessageOf<'commit'>): void
  /** Drops what was prepared under this order. Not answered; a committed one is left alone. */
  abort(message: MasterMessageOf<'abort'>): void
  /** Ends the hold of a local rollback; answered by `position_changed`. */
  liftHold(): void
  /** What is served, proved; cheap enough for every heartbeat. */
  position(): AgentPosition
  facts(): Promise<AgentFacts>
}

/** The way to the master. */
export interface Reports {
  /** Never waits and never throws; may drop while there is no connection, since the next hello carries the position. */
  send(message: AgentMessage): void
}
