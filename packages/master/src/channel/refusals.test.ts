import { expect, test } from 'bun:test'
import type { AuditLog } from '../audit/audit.ts'
import { newId } from '../ids.ts'
import { CHANNEL_LIMITS } from './channel-limits.ts'
import { makeRefusals } from './refusals.ts'

const BURST = CHANNEL_LIMITS.refusal_address_rows_burst
const MINUTE_MS = 60_000

function openRefusals() {
  let now_ms = Date.parse('2026-11-23T12:00:00.000Z')
  const rows: { ip_address: string | null; suppressed: number }[] = []
  const record: AuditLog['record'] = async (caller, event) => {
    const { suppressed } = event.after as { suppressed: number }
    rows.push({ ip_address: caller.ip_address, suppressed })
  }
  const refusals = makeRefusals({
    audit: { record } as AuditLog,
    log: { warn: () => undefined, error: () => undefined },
    now: () => new Date(now_ms),
    newId,
  })
  /** A refusal in the name of an agent that nobody named before. */
  const refuse = (ip_address: string) =>
    refusals.note({
      action: 'agent.connection_refused',
      reason: 'unknown_agent',
      agent_id: newId(),
      workspace_id: null,
      key_id: null,
      ip_address,
    })
  const pass = (ms: number) => {
    now_ms += ms
  }
  return { rows, refuse, pass }
}

test('a stranger who claims another agent each time gets one audit row a minute after the first ones, with the count', () => {
  const { rows, refuse, pass } = openRefusals()
  const hour_s = 3_600
  for (let s = 0; s < hour_s; s++) {
    for (let n = 0; n < 5; n++) refuse('192.0.2.1')
    pass(1_000)
  }
  expect(rows.length).toBeGreaterThanOrEqual(BURST + 58)
  expect(rows.length).toBeLessThanOrEqual(BURST + 60)
  const counted = rows.length + rows.reduce((sum, row) => sum + row.suppressed, 0)
  // All but those after the last row, which the next one will count.
  expect(counted).toBeGreaterThan(5 * (hour_s - 61))
  expect(rows.slice(0, BURST).every(row => row.suppressed === 0)).toBe(true)
})

test('addresses of one IPv6 customer count as one, and a flood from there hides nobody else', () => {
  const { rows, refuse } = openRefusals()
  for (let n = 0; n < 3 * BURST; n++) refuse(`2001:db8:0:1::${n.toString(16)}`)
  expect(rows.length).toBe(BURST)
  refuse('192.0.2.7')
  expect(rows.at(-1)).toEqual({ ip_address: '192.0.2.7', suppressed: 0 })
})

test('what was left out while it was quiet is told with the next row of that address', () => {
  const { rows, refuse, pass } = openRefusals()
  for (let n = 0; n < BURST + 7; n++) refuse('192.0.2.1')
  pass(MINUTE_MS)
  refuse('192.0.2.1')
  expect(rows.at(-1)?.suppressed).toBe(7)
})
