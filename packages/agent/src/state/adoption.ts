import type { RenderFacts } from '@nxmesh/nginx/objects'
import { hasFields, isRecord, readJsonFile, writeJsonFile } from './json-file.ts'
import type { StatePaths } from './paths.ts'

/** What was decided when the agent took nginx.conf over. */
export interface AdoptionRecord {
  readonly conf_path: string
  readonly conf_d_path: string
  readonly error_log_path: string
  readonly backup_path: string | null
  /** Loopback TCP port of the status server. */
  readonly status_port: number
  readonly carried: RenderFacts['carried']
}

const FIELDS = {
  conf_path: 'string',
  conf_d_path: 'string',
  error_log_path: 'string',
  status_port: 'number',
  carried: 'object',
}

const isAdoption = (value: unknown): value is AdoptionRecord =>
  hasFields(value, FIELDS) && isRecord(value) && isRecord(value.carried)

/** Null before adoption. @throws StateError */
export function readAdoption(paths: StatePaths): AdoptionRecord | null {
  return readJsonFile(paths.adoption, isAdoption)
}

export function writeAdoption(paths: StatePaths, adoption: AdoptionRecord): void {
  writeJsonFile(paths.adoption, adoption)
}
