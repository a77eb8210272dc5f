import type { Adoption } from '@nxmesh/nginx/adopt'
import { hasFields, isRecord, readJsonFile, writeJsonFile } from './json-file.ts'
import type { StatePaths } from './paths.ts'

export type HashFloors = Adoption['floors']

/** What was decided when the agent took nginx.conf over. */
export interface AdoptionRecord {
  readonly conf_path: string
  readonly conf_d_path: string
  readonly error_log_path: string
  readonly backup_path: string | null
  /** Loopback TCP port of the status server. */
  readonly status_port: number
  /** Sizes that nginx.conf set before; what NxMesh computes never falls below. */
  readonly hash_floors: HashFloors
}

const FIELDS = {
  conf_path: 'string',
  conf_d_path: 'string',
  error_log_path: 'string',
  status_port: 'number',
  hash_floors: 'object',
}

const isAdoption = (value: unknown): value is AdoptionRecord =>
  hasFields(value, FIELDS) && isRecord(value) && isRecord(value.hash_floors)

/** Null before adoption. @throws StateError */
export function readAdoption(paths: StatePaths): AdoptionRecord | null {
  return readJsonFile(paths.adoption, isAdoption)
}

export function writeAdoption(paths: StatePaths, adoption: AdoptionRecord): void {
  writeJsonFile(paths.adoption, adoption)
}
