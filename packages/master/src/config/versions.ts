import type { Kind } from '@nxmesh/contract'
import type { Queryable } from '../database/database.ts'
import { readVersions, usersOf } from './config-store.ts'
import type { ResourceVersion } from './snapshot.ts'

export interface VersionRef {
  readonly kind: Kind
  readonly id: string
  readonly version_number: number
}

/** What deployments read of configuration: immutable versions, and who points to what now. */
export interface VersionReader {
  /** In no order. `data` is null in the version that deletes the resource; versions that do not exist are left out. */
  versions(q: Queryable, wanted: readonly VersionRef[]): Promise<ResourceVersion[]>
  /** Virtual hosts whose newest version points to this upstream by id, at most `limit`. */
  usersOf(q: Queryable, upstream_id: string, limit: number): Promise<string[]>
}

export const versionReader: VersionReader = {
  async versions(q, wanted) {
    const rows = await readVersions(q, wanted)
    return rows.map(row => ({
      kind: row.resource_type as Kind,
      id: row.resource_id,
      version_number: row.version_number,
      data: row.data_json === null ? null : JSON.parse(row.data_json),
    }))
  },
  usersOf: (q, upstream_id, limit) => usersOf(q, [{ to_kind: 'upstream', to_id: upstream_id }], limit),
}
