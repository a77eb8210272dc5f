import type { ConfigVersion, Kind, Principal } from '@nxmesh/contract'
import type { ResourceView } from './config.ts'
import type { Subject } from './config-checks.ts'
import type { ResourceData, SealedData } from './config-rules.ts'
import { parseData, type ResourceRow, type VersionRow } from './config-store.ts'
import { arrangeBy } from './field-order.ts'
import type { ConfigKind } from './kinds/kind.ts'
import { CONFIG_KINDS } from './kinds/registry.ts'

/** Between what the API shows and what is stored. */

export function newRow(subject: Subject, sealed: SealedData, at: string): ResourceRow {
  return {
    id: subject.id,
    workspace_id: subject.workspace_id,
    kind: subject.kind.kind,
    name: subject.kind.nameOf(sealed.data),
    version_number: 1,
    data_json: sealed.json,
    created_at: at,
    updated_at: at,
    deleted_at: null,
  }
}

export const nextRow = (row: ResourceRow, kind: ConfigKind, sealed: SealedData, at: string): ResourceRow => ({
  ...row,
  name: kind.nameOf(sealed.data),
  version_number: row.version_number + 1,
  data_json: sealed.json,
  updated_at: at,
})

/** Of each kind: the order of what the API shows of it. */
const ARRANGE = new Map<string, (value: unknown) => unknown>(
  Object.values(CONFIG_KINDS).map(({ kind, resource }) => [kind, arrangeBy(resource)]),
)

const arranged = <T>(kind: string, value: T): T => (ARRANGE.get(kind)?.(value) ?? value) as T

export function viewOf(row: ResourceRow, data: ResourceData): ResourceView {
  const { id, workspace_id, version_number, created_at, updated_at } = row
  return arranged(row.kind, { id, workspace_id, version_number, created_at, updated_at, ...data })
}

export const versionOf = (row: VersionRow): ConfigVersion => ({
  id: row.id,
  resource_type: row.resource_type as Kind,
  resource_id: row.resource_id,
  version_number: row.version_number,
  data: row.data_json === null ? null : arranged(row.resource_type, { ...parseData(row.data_json) }),
  checksum: row.checksum,
  created_by: { type: row.created_by_type as Principal['type'], id: row.created_by_id },
  created_at: row.created_at,
  change_summary: row.change_summary,
})
