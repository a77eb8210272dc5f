import type { Logger } from 'pino'
import type { Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import { makeTokenBuckets } from '../http/token-buckets.ts'
import { CHANNEL_LIMITS } from './channel-limits.ts'

export interface Refusal {
  readonly action:
    | 'agent.connection_refused'
    | 'agent.connection_violation'
    | 'agent.identity_conflict'
    | 'agent.register_refused'
  readonly reason: string
  /** As claimed; null when what was claimed is no id. */
  readonly agent_id: string | null
  /** Null when the claimed agent is not known. */
  readonly workspace_id: string | null
  readonly key_id: string | null
  readonly ip_address: string | null
}

/** Logs and audits what was refused, bounded: a flood becomes one row that counts. */
export interface Refusals {
  note(refusal: Refusal): void
}

export interface RefusalsDeps {
  readonly audit: AuditLog
  readonly log: Pick<Logger, 'warn' | 'error'>
  readonly now: () => Date
  readonly newId: () => string
}

export function makeRefusals(deps: RefusalsDeps): Refusals {
  const quiet = new Map<string, { since_ms: number; suppressed: number }>()
  const rows = makeTokenBuckets(
    { burst: CHANNEL_LIMITS.refusal_rows_burst, per_s: CHANNEL_LIMITS.refusal_rows_per_s },
    1,
    deps.now,
  )

  /** How many of this kind were left out since the last row; null: leave this one out too. */
  const due = (key: string): number | null => {
    const now_ms = deps.now().getTime()
    const known = quiet.get(key)
    const silenced =
      known !== undefined && Math.abs(now_ms - known.since_ms) < CHANNEL_LIMITS.refusal_quiet_ms
    if (silenced || rows.take('all') > 0) {
      if (known) known.suppressed += 1
      return null
    }
    quiet.delete(key)
    quiet.set(key, { since_ms: now_ms, suppressed: 0 })
    const oldest = quiet.keys().next()
    if (quiet.size > CHANNEL_LIMITS.refusal_keys && !oldest.done) quiet.delete(oldest.value)
    return known?.suppressed ?? 0
  }

  return {
    note(refusal) {
      const { action, reason, agent_id, workspace_id, key_id, ip_address } = refusal
      const suppressed = due(`${action} ${reason} ${agent_id} ${ip_address}`)
      if (suppressed === null) return
      deps.log.warn({ agent_id, key_id, ip_address, reason, suppressed }, `Refused: ${action}`)
      const event = {
        action,
        object_type: 'agent',
        object_id: agent_id,
        workspace_id,
        result: 'refused' as const,
        after: { reason, key_id, suppressed },
      }
      deps.audit.record(strangerAt(ip_address, deps.newId()), event).catch((error: unknown) => {
        deps.log.error({ err: error, agent_id, reason }, 'A refusal could not be audited')
      })
    },
  }
}

/** Who was refused is not known to be anyone: the claimed agent is the object, not the principal. */
function strangerAt(ip_address: string | null, request_id: string): Caller {
  return {
    principal: { type: 'agent', id: null },
    name: 'unauthenticated agent',
    email: null,
    permissions: new Set(),
    door: 'channel',
    ip_address,
    request_id,
    session_id: null,
  }
}
