import { join } from 'node:path'
import type { ConfigError } from '@nxmesh/contract/entities/deployment'
import { readLink } from '../host/files.ts'
import type { Log } from '../log.ts'
import type { FactsReader } from '../nginx/facts.ts'
import type { Installation } from '../nginx/installation.ts'
import type { Reports } from '../orders.ts'
import type { AdoptionRecord } from '../state/adoption.ts'
import type { JournalStore, Pending } from '../state/journal.ts'
import type { ObjectCache } from '../state/objects.ts'
import type { StatePaths } from '../state/paths.ts'
import type { FolderRecord } from '../state/records.ts'
import type { Inbox } from './inbox.ts'
import type { Staging } from './staging.ts'

/** What the steps of the pipeline work with. */
export interface ApplyContext {
  readonly paths: StatePaths
  readonly installation: Installation
  readonly adoption: AdoptionRecord
  readonly journal: JournalStore
  readonly objects: ObjectCache
  readonly inbox: Inbox
  readonly staging: Staging
  readonly facts: FactsReader
  readonly reports: Reports
  readonly log: Log
  readonly now: () => Date
  readonly newId: () => string
  /** The record of the folder whose files the next one can share; kept in memory because each edit needs it. */
  base: FolderRecord | null
  /** The apply id of the prepared folder that nginx has tested since this process started. */
  tested: string | null
}

/** Whether nginx may serve it already: the link itself says so, no journal entry could be nearer to the truth. */
export const isUnderWay = (ctx: ApplyContext, pending: Pending): boolean =>
  pending.phase === 'swapping_back' || readLink(currentLink(ctx)) === pending.folder

export const currentLink = (ctx: ApplyContext) => join(ctx.adoption.conf_d_path, 'current')
export const folderPath = (ctx: ApplyContext, folder: string) => join(ctx.adoption.conf_d_path, folder)

/** nginx or a rule said no to the configuration. */
export class Rejection extends Error {
  override readonly name = 'Rejection'
  readonly error: ConfigError

  constructor(error: ConfigError) {
    super(error.message)
    this.error = error
  }
}

/** This host could not do its part now; says nothing about the configuration. */
export class Unable extends Error {
  override readonly name = 'Unable'
}

/** The master was asked for what is missing and sends the order again. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'
}

/** How long each step took, in milliseconds. */
export class StepClock {
  readonly timings_ms: Record<string, number> = {}
  #last = performance.now()

  /** Ends a step: the time since the last one ended. */
  lap(step: string): void {
    const now = performance.now()
    this.timings_ms[step] = Math.round((now - this.#last) * 100) / 100
    this.#last = now
  }
}
