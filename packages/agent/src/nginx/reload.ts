import { type NginxMessage, parseNginxErrors } from '@nxmesh/nginx/output'
import { faultPoint } from '../faults.ts'
import { isAlive, type ProcessId, sendSignal } from '../host/processes.ts'
import { openTail, type Tail } from '../host/tail.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { pollUntil } from '../poll.ts'

export type ReloadOutcome =
  | { readonly loaded: true }
  | { readonly loaded: false; readonly error: NginxMessage }

export interface ReloadOptions {
  /** The running configuration does not log notices yet, so that the signal itself leaves no line. */
  readonly silent_before: boolean
}

/**
 * Has nginx read its configuration again, and reads in the main error log (level notice) what came of it. nginx answers a
 * reload nowhere else: the signal says nothing, and the master goes on with the old configuration when the new one fails.
 */
export async function reload(
  master: ProcessId,
  error_log_path: string,
  { silent_before }: ReloadOptions = { silent_before: false },
): Promise<ReloadOutcome> {
  let tail: Tail
  try {
    tail = openTail(error_log_path)
  } catch {
    return failed(`the error log ${error_log_path} cannot be read`)
  }
  try {
    if (!sendSignal(master, 'SIGHUP')) return failed('nginx is not running')
    faultPoint('reload')
    return await readOutcome(master, tail, silent_before)
  } finally {
    tail.close()
  }
}

async function readOutcome(master: ProcessId, tail: Tail, silent_before: boolean): Promise<ReloadOutcome> {
  const watch = makeOutcomeReader(master.pid, silent_before)
  const outcome = await pollUntil(() => {
    for (const line of tail.lines()) {
      const found = watch(line)
      if (found !== null) return found
    }
    return isAlive(master) ? null : failed('nginx has ended during the reload')
  }, AGENT_LIMITS.reload_max_ms)
  return outcome ?? failed(`nginx did not finish its reload within ${AGENT_LIMITS.reload_max_ms} ms`)
}

const RECEIVED = 'signal 1 (SIGHUP) received'
const STARTED = 'start worker process '
const BIND_RETRY = /^bind\(\) to .* failed/
const BIND_FAILED = 'still could not bind()'

/**
 * Reads one master's lines in order: after its SIGHUP either a worker starts or an `[emerg]` ends the attempt. A bind that
 * fails is tried again by nginx for 2.5 s, so only its last word counts, told with the first bind's reason.
 */
export function makeOutcomeReader(
  pid: number,
  silent_before = false,
): (line: string) => ReloadOutcome | null {
  const own = ` ${pid}#`
  let received = silent_before
  let bind: NginxMessage | null = null
  return line => {
    if (!line.includes(own)) return null
    if (line.includes(RECEIVED)) {
      received = true
      bind = null
      return null
    }
    if (!received) return null
    const [message] = parseNginxErrors(line)
    if (message === undefined) return null
    if (message.message.startsWith(STARTED)) return { loaded: true }
    if (message.level !== 'emerg') return null
    if (message.message.startsWith(BIND_FAILED)) return { loaded: false, error: bind ?? message }
    if (BIND_RETRY.test(message.message)) {
      bind ??= message
      return null
    }
    return { loaded: false, error: message }
  }
}

function failed(message: string): ReloadOutcome {
  return { loaded: false, error: { level: 'emerg', message, file: null, line: null } }
}
