import { type ProcessId, readProcess } from '../host/processes.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { pollUntil } from '../poll.ts'
import { readMarker } from './marker.ts'
import { acceptsNoMore } from './master-process.ts'

export interface ProofRequest {
  readonly master: ProcessId
  /** The children that ran before the SIGHUP. */
  readonly older: readonly ProcessId[]
  readonly status_port: number
  readonly apply_id: string
}

/**
 * Proves that the new workers serve this very apply: every older child is gone or has closed its listeners, and then a child
 * that started after the signal answers with the apply's own marker. In this order, because old workers go on accepting for
 * about 100 ms after new ones run.
 * @returns null when it is proved, else what is missing
 */
export async function proveServing(request: ProofRequest): Promise<string | null> {
  const { older, master, status_port, apply_id } = request
  let missing = ''
  const proved = await pollUntil(async () => {
    const accepting = older.filter(worker => !acceptsNoMore(worker))
    if (accepting.length > 0) {
      missing = `old workers still accept connections: ${accepting.map(({ pid }) => pid).join(', ')}`
      return null
    }
    const marker = await readMarker(status_port)
    missing = `the status server on 127.0.0.1:${status_port} ${marker === null ? 'does not answer' : 'answers for another apply'}`
    return marker?.apply_id === apply_id && isNewChild(marker.pid, master, older) ? true : null
  }, AGENT_LIMITS.verify_max_ms)
  return proved === null ? missing : null
}

function isNewChild(pid: number, master: ProcessId, older: readonly ProcessId[]): boolean {
  const facts = readProcess(pid)
  if (facts === null || facts.parent !== master.pid) return false
  return !older.some(one => one.pid === pid && one.started === facts.started)
}
