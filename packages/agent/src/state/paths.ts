import { join } from 'node:path'
import { makeFolder, PRIVATE_FOLDER_MODE } from '../host/files.ts'

/** What lies in the agent's own folder: mode 0700, each file 0600. */
export interface StatePaths {
  readonly root: string
  readonly identity: string
  readonly adoption: string
  readonly journal: string
  readonly records: string
  /** A file: see objects.ts. */
  readonly objects: string
  /** Held for life by the one `run` of this folder. */
  readonly agent_lock: string
  /** Held by whoever changes what nginx serves. */
  readonly apply_lock: string
}

export function statePaths(state_dir: string): StatePaths {
  return {
    root: state_dir,
    identity: join(state_dir, 'identity.json'),
    adoption: join(state_dir, 'adoption.json'),
    journal: join(state_dir, 'journal.json'),
    records: join(state_dir, 'records'),
    objects: join(state_dir, 'objects.pack'),
    agent_lock: join(state_dir, 'agent.lock'),
    apply_lock: join(state_dir, 'apply.lock'),
  }
}

/** Makes the folders that are missing. */
export function makeStateFolders(paths: StatePaths): void {
  for (const folder of [paths.root, paths.records]) makeFolder(folder, PRIVATE_FOLDER_MODE)
}
