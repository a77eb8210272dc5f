import type { ChangeMeta, ConfigVersion, Deployment, Kind } from '@nxmesh/contract'
import type { z } from 'zod'
import type { Caller } from '../access/caller.ts'
import type { Slice } from '../database/slice.ts'
import type { ResourceData } from './config-rules.ts'

/** A resource as the API shows it. */
export type ResourceView = ResourceData & {
  readonly id: string
  readonly workspace_id: string
  readonly version_number: number
  readonly created_at: string
  readonly updated_at: string
}

/** How long to hold the answer until the deployment ended; null: not at all. */
export type Wait = { readonly timeout_ms: number } | null
export type WriteMeta = z.infer<typeof ChangeMeta> & { deployment?: Deployment }
export interface Written<T> {
  readonly data: T
  readonly meta: WriteMeta
}

/** Everything that happens to versioned resources, for all kinds. Every call checks the caller against the object. */
export interface ConfigService {
  list(
    caller: Caller,
    kind: Kind,
    workspace_id: string | undefined,
    slice: Slice,
  ): Promise<Page<ResourceView>>
  get(caller: Caller, kind: Kind, id: string): Promise<ResourceView>
  /** Throws `VALIDATION_ERROR`, `NOT_BUILT_YET`, `CONFLICT`, `LIMIT_REACHED`; nothing is stored then. */
  create(caller: Caller, kind: Kind, input: CreateInput, wait: Wait): Promise<Written<ResourceView>>
  /** A change that changes nothing makes no version. `if_match`: the version that the caller saw, null for any. */
  update(
    caller: Caller,
    kind: Kind,
    id: string,
    input: UpdateInput,
    wait: Wait,
  ): Promise<Written<ResourceView>>
  /** Throws `IN_USE` with the users. `version_number` is that of the version that deletes. */
  remove(
    caller: Caller,
    kind: Kind,
    id: string,
    if_match: number | null,
    wait: Wait,
  ): Promise<Written<null> & { version_number: number }>
  versions(caller: Caller, kind: Kind, id: string, slice: Slice): Promise<Page<ConfigVersion>>
  version(caller: Caller, kind: Kind, id: string, version_number: number): Promise<ConfigVersion>
}

export interface Page<T> {
  readonly items: T[]
  readonly total: number
}
export interface CreateInput {
  readonly workspace_id: string
  readonly data: ResourceData
  readonly change_summary: string | undefined
}
export interface UpdateInput {
  readonly patch: ResourceData
  readonly if_match: number | null
  readonly change_summary: string | undefined
}
