import { LIMITS } from '@nxmesh/contract'
import type { AuditEvent, AuditLog } from '../audit/audit.ts'
import { makeTokenBuckets } from '../http/token-buckets.ts'
import type { Caller } from './caller.ts'

/** Audits what strangers were refused at one way in, bounded for all of them together: many addresses must not fill the log. */
export interface RefusalRows {
  /** Of a flood, a row now and then that says in `suppressed` how many were left out before it. */
  tell(caller: Caller, event: Omit<AuditEvent, 'result' | 'after'> & { after: object }): Promise<void>
}

export function makeRefusalRows({ audit, now }: { audit: AuditLog; now: () => Date }): RefusalRows {
  const rule = { burst: LIMITS.login_refusal_rows_burst, per_s: LIMITS.login_refusal_rows_per_s }
  const rows = makeTokenBuckets(rule, 1, now)
  let suppressed = 0
  return {
    async tell(caller, event) {
      if (rows.take('all') > 0) {
        suppressed++
        return
      }
      const left_out = suppressed
      suppressed = 0
      await audit.record(caller, {
        ...event,
        result: 'refused',
        after: { ...event.after, suppressed: left_out },
      })
    },
  }
}
