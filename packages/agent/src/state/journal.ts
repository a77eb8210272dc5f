import type { AgentMessageOf, AgentPosition } from '@nxmesh/contract/channel/messages'
import { identityOf } from '../host/files.ts'
import { hasFields, isRecord, readJsonFile, writeJsonFile } from './json-file.ts'
import type { StatePaths } from './paths.ts'

/** What fences a plan. */
export interface Fence {
  readonly epoch: number
  readonly generation: number
}
export interface Order extends Fence {
  readonly deployment_id: string
}

/** A deployment folder that was completed. */
export interface Deployed extends Order {
  readonly folder: string
  readonly apply_id: string
  readonly bundle_hash: string
  readonly tree_hash: string
}

/**
 * The apply that has begun. `prepared`: its files are durable, and nothing live is touched as long as the link is at another
 * folder; once the link is at this one it was decided. `swapping_back` is on the way to `previous`.
 */
export interface Pending extends Deployed {
  readonly phase: 'prepared' | 'swapping_back'
  /** Folder that was current before. */
  readonly previous: string | null
}

export type Outcome = AgentMessageOf<'rejected'> | AgentMessageOf<'serving'> | AgentMessageOf<'failed'>

/** Everything that a restart must know, in one file, so that a step and what it means are never apart. */
export interface Journal {
  /** The highest order that was answered; lower ones are refused. */
  readonly fence: Fence
  /** What is served, proved. */
  readonly serving: Deployed | null
  readonly hold: AgentPosition['hold']
  readonly pending: Pending | null
  /** How the last order ended, to be answered again when it is asked again. */
  readonly outcome: Outcome | null
  /** Folders that were served, oldest first; the candidates of a rollback. */
  readonly folders: readonly Deployed[]
}

export const EMPTY_JOURNAL: Journal = {
  fence: { epoch: 0, generation: 0 },
  serving: null,
  hold: null,
  pending: null,
  outcome: null,
  folders: [],
}

const isJournal = (value: unknown): value is Journal =>
  hasFields(value, { fence: 'object', serving: 'object', pending: 'object', folders: 'object' }) &&
  isRecord(value) &&
  hasFields(value.fence, { epoch: 'number', generation: 'number' }) &&
  Array.isArray(value.folders)

/** The journal in memory and on disk; whoever holds the apply lock may write it, be it the agent or a rollback by hand. */
export interface JournalStore {
  /** The newest, also when another process wrote it. */
  read(): Journal
  /** Durable when it returns. */
  update(change: Partial<Journal>): Journal
}

/** @throws StateError when the file is damaged: then the agent cannot know what it promised, and a person must look */
export function openJournal(paths: StatePaths): JournalStore {
  let journal = EMPTY_JOURNAL
  let seen = ''
  const read = () => {
    const identity = identityOf(paths.journal)
    const now = identity === null ? '' : `${identity.inode} ${identity.modified_ms} ${identity.size}`
    if (now !== seen) {
      journal = readJsonFile(paths.journal, isJournal) ?? EMPTY_JOURNAL
      seen = now
    }
    return journal
  }
  read()
  return {
    read,
    update(change) {
      const next = { ...read(), ...change }
      writeJsonFile(paths.journal, next)
      return read()
    },
  }
}

/**
 * The same for a master that gave none of these orders: its own count from 1 again, and a fence of another one's would refuse
 * them. What is served, kept and on hold stays.
 */
export function withoutOrders({ serving, hold, pending, folders }: Journal): Journal {
  const nobodys = <T extends Fence>(one: T): T => ({ ...one, ...EMPTY_JOURNAL.fence })
  return {
    ...EMPTY_JOURNAL,
    serving: serving && nobodys(serving),
    hold,
    pending: pending && nobodys(pending),
    folders: folders.map(nobodys),
  }
}

/** Negative when `a` comes before `b`. */
export function compareOrders(a: Fence, b: Fence): number {
  return a.epoch - b.epoch || a.generation - b.generation
}

export function isSameOrder(a: Order, b: Order): boolean {
  return a.deployment_id === b.deployment_id && compareOrders(a, b) === 0
}

/** The three fields that name an order, and nothing else. */
export function orderOf({ deployment_id, epoch, generation }: Order): Order {
  return { deployment_id, epoch, generation }
}

export function positionOf({ serving, hold }: Journal): AgentPosition {
  return {
    epoch: serving?.epoch ?? 0,
    generation: serving?.generation ?? 0,
    deployment_id: serving?.deployment_id ?? null,
    bundle_hash: serving?.bundle_hash ?? null,
    tree_hash: serving?.tree_hash ?? null,
    hold,
  }
}
