import type { Logger } from 'pino'
import type { Caller } from '../access/caller.ts'
import { nobody } from '../access/nobody.ts'
import type { AuditLog } from '../audit/audit.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { CausedRead, OwnPurpose } from './secrets.ts'

/** Puts openings of secrets into the audit log, as `secret.read`. */
export interface SecretReads {
  /** The master's own: one row lists many, at the latest a second later. */
  note(purpose: OwnPurpose, identity: string): void
  /** One that somebody caused; resolves when the row is written. */
  record(read: CausedRead, identity: string): Promise<void>
  /** Writes what waits; afterwards nothing is written any more. */
  stop(): Promise<void>
}

export interface SecretReadsDeps {
  readonly audit: AuditLog
  readonly log: Pick<Logger, 'error'>
  readonly newId: () => string
  /** Smaller ones for tests. */
  readonly limits?: Partial<ReadLimits>
}

type ReadLimits = Record<'secret_reads_waiting' | 'secret_reads_per_row' | 'secret_reads_wait_ms', number>

/** The master itself, as who does something. */
export const theMaster = (door: 'system' | 'command', request_id: string): Caller =>
  nobody({ principal: { type: 'system', id: null }, name: 'the master', door, ip_address: null, request_id })

const ACTION = { action: 'secret.read', object_type: 'secret' } as const

export function makeSecretReads(deps: SecretReadsDeps): SecretReads {
  const limits: ReadLimits = {
    ...MASTER_LIMITS,
    ...deps.limits,
  }
  // Within a second the same secret is named once, with how often it was read.
  const waiting = new Map<OwnPurpose, Map<string, number>>()
  let count = 0
  let left_out = 0
  let timer: ReturnType<typeof setTimeout> | null = null
  let writing: Promise<void> = Promise.resolve()
  let stopped = false

  const take = (): { purpose: OwnPurpose; reads: [string, number][] } | null => {
    for (const [purpose, identities] of waiting) {
      const reads = [...identities.entries().take(limits.secret_reads_per_row)]
      for (const [identity] of reads) identities.delete(identity)
      if (identities.size === 0) waiting.delete(purpose)
      count -= reads.length
      if (reads.length > 0) return { purpose, reads }
    }
    return null
  }

  const put = (purpose: OwnPurpose, identity: string, times: number): void => {
    const identities = waiting.get(purpose) ?? new Map<string, number>()
    const known = identities.get(identity)
    if (known === undefined && count >= limits.secret_reads_waiting) {
      left_out += times
      return
    }
    if (known === undefined) count += 1
    identities.set(identity, (known ?? 0) + times)
    waiting.set(purpose, identities)
  }

  const writeOne = async (purpose: OwnPurpose, reads: readonly [string, number][]): Promise<void> => {
    const missing = left_out
    left_out = 0
    const [first] = reads
    await deps.audit
      .record(theMaster('system', deps.newId()), {
        ...ACTION,
        object_id: reads.length === 1 && first ? first[0] : null,
        after: {
          purpose,
          reads: reads.reduce((sum, [, times]) => sum + times, 0),
          identities: reads.map(([identity]) => identity),
          ...(missing > 0 ? { left_out: missing } : {}),
        },
      })
      .catch((error: unknown) => {
        left_out += missing
        throw error
      })
  }

  const writeAll = async (): Promise<void> => {
    for (let next = take(); next; next = take()) {
      try {
        await writeOne(next.purpose, next.reads)
      } catch (error) {
        // Kept, and tried again with the next ones.
        for (const [identity, times] of next.reads) put(next.purpose, identity, times)
        deps.log.error({ err: error, waiting: count, left_out }, 'Reads of secrets could not be audited')
        if (!stopped) schedule()
        return
      }
    }
  }

  const flush = (): Promise<void> => {
    if (timer) clearTimeout(timer)
    timer = null
    writing = writing.then(writeAll)
    return writing
  }

  const schedule = () => {
    timer ??= setTimeout(() => void flush(), limits.secret_reads_wait_ms)
  }

  return {
    note(purpose, identity) {
      put(purpose, identity, 1)
      if (!stopped) schedule()
    },
    async record({ caller, purpose, workspace_id, tx }, identity) {
      const event = { ...ACTION, object_id: identity, workspace_id: workspace_id ?? null, after: { purpose } }
      await (tx ? deps.audit.append(tx, caller, event) : deps.audit.record(caller, event))
    },
    async stop() {
      stopped = true
      await flush()
      if (timer) clearTimeout(timer)
    },
  }
}
