/** Where a rotation of a session key can be stopped from outside, in its order. */
export const KEY_FAULT_STEPS = ['key_candidate_stored', 'key_offer_sent', 'key_promoted'] as const
/** Where a change of the master key can be, in its order. */
export const ROTATION_STEPS = ['key_written', 'wrapping', 'wrapped', 'key_in_place', 'cleaned'] as const
export type FaultStep = (typeof KEY_FAULT_STEPS)[number] | (typeof ROTATION_STEPS)[number]

/**
 * Fault-injection hook: with `NXMESH_FAULTS=1` and `NXMESH_TEST_STOP_AT=<step>` the process stops itself (SIGSTOP) behind that
 * step, so that a test can kill it exactly there. Without `NXMESH_FAULTS=1` it does nothing.
 */
export function faultPoint(step: FaultStep): void {
  if (process.env.NXMESH_FAULTS !== '1' || process.env.NXMESH_TEST_STOP_AT !== step) return
  process.kill(process.pid, 'SIGSTOP')
}
