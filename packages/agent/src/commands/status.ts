import { join } from 'node:path'
import type { AgentConfig } from '../config.ts'
import { exists, readLink } from '../host/files.ts'
import { tryLock } from '../host/lock.ts'
import { type Installation, locateNginx } from '../nginx/installation.ts'
import { readMarker } from '../nginx/marker.ts'
import { findMaster } from '../nginx/master-process.ts'
import { type AdoptionRecord, readAdoption } from '../state/adoption.ts'
import { readIdentity } from '../state/identity.ts'
import { type Journal, openJournal } from '../state/journal.ts'
import { type StatePaths, statePaths } from '../state/paths.ts'

/** Everything that can be known on this host without the master, each fact read now. */
export interface Status {
  readonly agent_id: string | null
  readonly name: string | null
  readonly master_url: string | null
  readonly agent_running: boolean
  readonly nginx: {
    readonly version: string
    readonly running: boolean
    readonly pid: number | null
    readonly conf_path: string
    readonly adopted: boolean
  }
  readonly current: string | null
  /** What a worker of nginx answers now. */
  readonly marker: {
    readonly deployment_id: string
    readonly generation: number
    readonly pid: number
  } | null
  /** Whether the marker is that of the deployment that the agent recorded as served. */
  readonly proved: boolean
  readonly serving: Journal['serving']
  readonly pending: Journal['pending']
  readonly hold: Journal['hold']
  readonly folders: readonly {
    readonly folder: string
    readonly generation: number
    readonly deployment_id: string
  }[]
}

export async function readStatus(config: AgentConfig): Promise<Status> {
  const paths = statePaths(config.state_dir)
  const identity = readIdentity(paths)
  const adoption = readAdoption(paths)
  const installation = await locateNginx(config.nginx)
  const { serving, pending, hold, folders } = openJournal(paths).read()
  const marker = adoption === null ? null : await readMarker(adoption.status_port)
  return {
    agent_id: identity?.agent_id ?? null,
    name: identity?.name ?? null,
    master_url: identity?.master_url ?? null,
    agent_running: isAgentRunning(paths),
    nginx: nginxStatus(installation, adoption),
    current: adoption === null ? null : readLink(join(adoption.conf_d_path, 'current')),
    marker: marker && { deployment_id: marker.deployment_id, generation: marker.generation, pid: marker.pid },
    proved: marker !== null && marker.apply_id === serving?.apply_id,
    serving,
    pending,
    hold,
    folders: folders.map(({ folder, generation, deployment_id }) => ({ folder, generation, deployment_id })),
  }
}

function nginxStatus(installation: Installation, adoption: AdoptionRecord | null): Status['nginx'] {
  const master = findMaster(installation, adoption?.status_port ?? null)
  return {
    version: installation.build.version,
    running: master !== null,
    pid: master?.pid ?? null,
    conf_path: installation.conf_path,
    adopted: adoption !== null,
  }
}

function isAgentRunning(paths: StatePaths): boolean {
  if (!exists(paths.agent_lock)) return false
  const lock = tryLock(paths.agent_lock)
  lock?.release()
  return lock === null
}
