import { ApiError, type Kind, LIMITS } from '@nxmesh/contract'
import type { Access, Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import type { Deployments } from '../deployments/deployments.ts'
import type { ConfigService, CreateInput, UpdateInput, Wait, WriteMeta } from './config.ts'
import {
  type AgentsOf,
  referenceRows,
  requireAgents,
  requireAliasesFree,
  requireClaims,
  requireTargets,
  requireUnused,
  type Subject,
} from './config-checks.ts'
import {
  checksumOf,
  patched,
  type ResourceData,
  type SealedData,
  summaryOf,
  validated,
} from './config-rules.ts'
import * as store from './config-store.ts'
import type { ConfigKind } from './kinds/kind.ts'
import { CONFIG_KINDS } from './kinds/registry.ts'
import { newRow, nextRow, versionOf, viewOf } from './resource-rows.ts'

export interface ConfigDeps {
  readonly db: Database
  readonly access: Access
  readonly audit: AuditLog
  readonly deployments: Deployments
  /** Takes the row lock of the workspace for the transaction; throws `NOT_FOUND` when there is none. */
  readonly lockWorkspace: (tx: Tx, workspace_id: string) => Promise<unknown>
  readonly agentsOf: AgentsOf
  readonly now: () => Date
  readonly newId: () => string
  /** Told of what a caller is not: a failure after the change was stored. */
  readonly onError: (what: string, error: unknown) => void
}

/** A change that was accepted, before it is written. */
interface Change {
  readonly subject: Subject
  readonly version_number: number
  /** Null: the resource is deleted. */
  readonly sealed: SealedData | null
  readonly before: ResourceData | null
  readonly summary: string
  readonly at: string
}

export function makeConfigService(deps: ConfigDeps): ConfigService {
  const { db, access } = deps

  /** Version, references, claims, audit row, release and deployment: all in the transaction of the change. */
  async function record(tx: Tx, caller: Caller, change: Change): Promise<string | null> {
    const { subject, version_number, sealed } = change
    const { kind, workspace_id, id } = subject
    await store.insertVersion(tx, {
      id: deps.newId(),
      workspace_id,
      resource_type: kind.kind,
      resource_id: id,
      version_number,
      data_json: sealed?.json ?? null,
      checksum: sealed?.checksum ?? checksumOf('null'),
      created_by: caller.principal,
      created_at: change.at,
      change_summary: change.summary,
    })
    await index(tx, subject, change.before, sealed?.data ?? null)
    const action = sealed === null ? 'delete' : change.before === null ? 'create' : 'update'
    await deps.audit.append(tx, caller, {
      action: `${kind.kind}.${action}`,
      object_type: kind.kind,
      object_id: id,
      workspace_id,
      before: change.before,
      after: sealed?.data ?? null,
    })
    const accepted = { kind: kind.kind, id, version_number, deleted: sealed === null }
    return (await deps.deployments.release(tx, caller, workspace_id, accepted))?.deployment_id ?? null
  }

  /** Only what changed is written: most edits change neither references nor claims. */
  async function index(tx: Tx, subject: Subject, before: ResourceData | null, after: ResourceData | null) {
    const { kind, workspace_id, id } = subject
    const references = (data: ResourceData | null) =>
      data === null ? [] : referenceRows(workspace_id, kind.references(data))
    const claims = (data: ResourceData | null) => (data === null ? [] : kind.claims(data).map(one => one.key))
    if (JSON.stringify(references(before)) !== JSON.stringify(references(after)))
      await store.replaceReferences(tx, kind.kind, id, references(after))
    if (JSON.stringify(claims(before)) !== JSON.stringify(claims(after)))
      await store.replaceClaims(tx, { workspace_id, kind: kind.kind, id }, claims(after))
  }

  async function check(
    tx: Tx,
    subject: Subject,
    before: ResourceData | null,
    after: ResourceData,
  ): Promise<void> {
    const { kind } = subject
    const aliases = (data: ResourceData | null) => (data === null ? [] : kind.aliases(data))
    const agents = (data: ResourceData | null) => (data === null ? [] : kind.agents(data))
    await requireAgents(deps.agentsOf, subject, { before: agents(before), after: agents(after) })
    await requireClaims(tx, subject, kind.claims(after))
    await requireTargets(tx, subject, kind.references(after))
    await requireAliasesFree(tx, subject, { before: aliases(before), after: aliases(after) })
  }

  /** After the commit: starts the delivery, then waits for it if asked to. */
  async function delivered(
    caller: Caller,
    workspace_id: string,
    deployment_id: string | null,
    wait: Wait,
  ): Promise<WriteMeta> {
    if (deployment_id === null) return { changed: true, deployment_id }
    deps.deployments.wake(workspace_id)
    if (wait === null) return { changed: true, deployment_id }
    try {
      const deployment = await deps.deployments.waitFor(caller, deployment_id, wait.timeout_ms)
      return { changed: true, deployment_id, deployment }
    } catch (error) {
      // The change is accepted and stored: an error would say that nothing was. The workspace may have been deleted since.
      if (!(error instanceof ApiError && error.code === 'NOT_FOUND'))
        deps.onError(`waiting for deployment ${deployment_id}`, error)
      return { changed: true, deployment_id }
    }
  }

  async function locked(tx: Tx, kind: ConfigKind, id: string, if_match: number | null) {
    const row = await store.findResource(tx, kind.kind, id)
    if (!row) throw notFound(kind)
    await deps.lockWorkspace(tx, row.workspace_id)
    // Read again under the lock: another master may have changed it before the lock was ours.
    const current = await store.findResource(tx, kind.kind, id)
    if (!current) throw notFound(kind)
    if (if_match !== null && current.version_number !== if_match)
      throw stale(kind, current.version_number, if_match)
    return current
  }

  async function require(
    caller: Caller,
    permission: 'config:write' | 'config:delete',
    kind: Kind,
    id: string,
  ) {
    const workspace_id = await store.workspaceOfResource(db.read, kind, id)
    if (workspace_id === undefined) throw notFound(CONFIG_KINDS[kind])
    await access.require(caller, permission, { type: 'workspace', workspace_id }, () =>
      notFound(CONFIG_KINDS[kind]),
    )
  }

  async function create(caller: Caller, name: Kind, input: CreateInput, wait: Wait) {
    const kind = CONFIG_KINDS[name]
    const { workspace_id } = input
    await access.require(caller, 'config:write', { type: 'workspace', workspace_id })
    const sealed = validated(kind, input.data)
    const id = deps.newId()
    const { row, deployment_id } = await db.write(async tx => {
      await deps.lockWorkspace(tx, workspace_id)
      await requireRoom(tx, kind, workspace_id)
      const subject = { kind, workspace_id, id }
      await check(tx, subject, null, sealed.data)
      const row = newRow(subject, sealed, deps.now().toISOString())
      await store.insertResource(tx, row)
      const summary = input.change_summary ?? 'Created'
      const change = { subject, version_number: 1, sealed, before: null, summary, at: row.created_at }
      return { row, deployment_id: await record(tx, caller, change) }
    })
    return {
      data: viewOf(row, sealed.data),
      meta: await delivered(caller, workspace_id, deployment_id, wait),
    }
  }

  async function update(caller: Caller, name: Kind, id: string, input: UpdateInput, wait: Wait) {
    const kind = CONFIG_KINDS[name]
    await require(caller, 'config:write', name, id)
    const done = await db.write(async tx => {
      const row = await locked(tx, kind, id, input.if_match)
      const before = store.parseData(row.data_json)
      const sealed = validated(kind, patched(before, input.patch))
      if (sealed.json === row.data_json) return { row, data: before, deployment_id: null, changed: false }
      const subject = { kind, workspace_id: row.workspace_id, id }
      await check(tx, subject, before, sealed.data)
      const next = nextRow(row, kind, sealed, deps.now().toISOString())
      const { name, version_number, data_json, updated_at } = next
      await store.updateResource(tx, id, { name, version_number, data_json, updated_at })
      const summary = input.change_summary ?? summaryOf(before, sealed.data)
      const change = { subject, version_number, sealed, before, summary, at: updated_at }
      return { row: next, data: sealed.data, deployment_id: await record(tx, caller, change), changed: true }
    })
    const data = viewOf(done.row, done.data)
    if (!done.changed) return { data, meta: { changed: false, deployment_id: null } }
    return { data, meta: await delivered(caller, done.row.workspace_id, done.deployment_id, wait) }
  }

  async function remove(caller: Caller, name: Kind, id: string, if_match: number | null, wait: Wait) {
    const kind = CONFIG_KINDS[name]
    await require(caller, 'config:delete', name, id)
    const done = await db.write(async tx => {
      const row = await locked(tx, kind, id, if_match)
      const before = store.parseData(row.data_json)
      const subject = { kind, workspace_id: row.workspace_id, id }
      await requireUnused(tx, subject, kind.aliases(before))
      const at = deps.now().toISOString()
      const version_number = row.version_number + 1
      await store.updateResource(tx, id, { version_number, updated_at: at, deleted_at: at })
      const change = { subject, version_number, sealed: null, before, summary: 'Deleted', at }
      const deployment_id = await record(tx, caller, change)
      return { workspace_id: row.workspace_id, version_number, deployment_id }
    })
    const meta = await delivered(caller, done.workspace_id, done.deployment_id, wait)
    return { data: null, meta, version_number: done.version_number }
  }

  async function readable(caller: Caller, name: Kind, id: string): Promise<void> {
    const workspace_id = await store.workspaceOfResource(db.read, name, id)
    if (workspace_id === undefined) throw notFound(CONFIG_KINDS[name])
    await access.require(caller, 'config:read', { type: 'workspace', workspace_id }, () =>
      notFound(CONFIG_KINDS[name]),
    )
  }

  return {
    create,
    update,
    remove,
    async list(caller, kind, workspace_id, slice) {
      const workspace_ids = await access.workspaces(caller, 'config:read', workspace_id)
      const { items, total } = await store.listResources(db.read, kind, workspace_ids, slice)
      return { items: items.map(row => viewOf(row, store.parseData(row.data_json))), total }
    },
    async get(caller, kind, id) {
      const row = await store.findResource(db.read, kind, id)
      if (!row) throw notFound(CONFIG_KINDS[kind])
      const { workspace_id } = row
      await access.require(caller, 'config:read', { type: 'workspace', workspace_id }, () =>
        notFound(CONFIG_KINDS[kind]),
      )
      return viewOf(row, store.parseData(row.data_json))
    },
    async versions(caller, kind, id, slice) {
      await readable(caller, kind, id)
      const { items, total } = await store.listVersions(db.read, id, slice)
      return { items: items.map(versionOf), total }
    },
    async version(caller, kind, id, version_number) {
      await readable(caller, kind, id)
      const row = await store.findVersion(db.read, id, version_number)
      if (!row)
        throw new ApiError('NOT_FOUND', `This ${CONFIG_KINDS[kind].noun} has no version ${version_number}.`)
      return versionOf(row)
    },
  }
}

async function requireRoom(tx: Tx, kind: ConfigKind, workspace_id: string): Promise<void> {
  const count = await store.countResources(tx, workspace_id, kind.kind)
  if (count >= LIMITS.resources_per_kind)
    throw new ApiError(
      'LIMIT_REACHED',
      `A workspace may have at most ${LIMITS.resources_per_kind} of the kind ${kind.noun}.`,
    )
}

const notFound = (kind: ConfigKind) =>
  new ApiError('NOT_FOUND', `There is no such ${kind.noun}, or you may not see it.`)

const stale = (kind: ConfigKind, is: number, wanted: number) =>
  new ApiError('PRECONDITION_FAILED', `This ${kind.noun} is at version ${is}, not ${wanted}: read it again.`)
