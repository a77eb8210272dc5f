import type { Logger } from 'pino'
import type { Caller } from '../access/caller.ts'
import { nobody } from '../access/nobody.ts'
import type { AuditLog } from '../audit/audit.ts'
import { addressKey, makeTokenBuckets } from '../http/token-buckets.ts'
import { keepNewest } from '../keep-newest.ts'
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

/**
 * Logs and audits what was refused, bounded: of a flood from one address, after the first rows, one row a minute that says
 * in `suppressed` how many were left out before it.
 */
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
  const { now } = deps
  const noted_ms = new Map<string, number>()
  const left_out = new Map<string, number>()
  const by_address = makeTokenBuckets(
    {
      burst: CHANNEL_LIMITS.refusal_address_rows_burst,
      per_s: 1_000 / CHANNEL_LIMITS.refusal_address_row_ms,
    },
    CHANNEL_LIMITS.refusal_keys,
    now,
  )
  const by_all = makeTokenBuckets(
    { burst: CHANNEL_LIMITS.refusal_rows_burst, per_s: CHANNEL_LIMITS.refusal_rows_per_s },
    1,
    now,
  )

  /** Whether this one gets a row. What a stranger claims may be new each time; where it comes from is not. */
  const due = (kind: string, address: string): boolean => {
    const now_ms = now().getTime()
    const since_ms = noted_ms.get(kind)
    if (since_ms !== undefined && Math.abs(now_ms - since_ms) < CHANNEL_LIMITS.refusal_quiet_ms) return false
    if (by_address.take(address) > 0) return false
    if (by_all.take('all') > 0) {
      by_address.giveBack(address)
      return false
    }
    keepNewest(noted_ms, kind, now_ms, CHANNEL_LIMITS.refusal_keys)
    return true
  }

  /** How many from this address were left out since its last row; null: leave this one out too. */
  const suppressedBefore = (kind: string, address: string): number | null => {
    const suppressed = left_out.get(address) ?? 0
    if (due(kind, address)) {
      left_out.delete(address)
      return suppressed
    }
    keepNewest(left_out, address, suppressed + 1, CHANNEL_LIMITS.refusal_keys)
    return null
  }

  return {
    note(refusal) {
      const { action, reason, agent_id, workspace_id, key_id, ip_address } = refusal
      const address = addressKey(ip_address)
      const suppressed = suppressedBefore(`${action} ${reason} ${agent_id} ${address}`, address)
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
  const principal = { type: 'agent', id: null } as const
  return nobody({ principal, name: 'unauthenticated agent', door: 'channel', ip_address, request_id })
}
