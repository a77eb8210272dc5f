/** Where the pipeline can be stopped from outside, in its order. */
export const FAULT_STEPS = [
  'receive',
  'render',
  'validate',
  'prepared',
  'committing',
  'swapped',
  'reload',
  'verify',
  'report',
  'clean_up',
  'swap_back',
] as const
/** The same for a new session key: kept, answered, in use. */
export const KEY_FAULT_STEPS = ['key_stored', 'key_accepted', 'key_promoted'] as const
export type FaultStep = (typeof FAULT_STEPS)[number] | (typeof KEY_FAULT_STEPS)[number]

/**
 * Fault-injection hook: with `NXMESH_FAULTS=1` and `NXMESH_TEST_STOP_AT=<step>` the agent stops itself (SIGSTOP) when it
 * begins that step, so that a test can kill it exactly there. Without `NXMESH_FAULTS=1` it does nothing.
 */
export function faultPoint(step: FaultStep): void {
  if (process.env.NXMESH_FAULTS !== '1' || process.env.NXMESH_TEST_STOP_AT !== step) return
  process.kill(process.pid, 'SIGSTOP')
}
