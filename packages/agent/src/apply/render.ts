import { join } from 'node:path'
import { RenderError } from '@nxmesh/nginx/errors'
import type { RenderedFile, RenderFacts, ResourceRef } from '@nxmesh/nginx/objects'
import { renderObject, resourceOf } from '@nxmesh/nginx/render/bundle'
import { renderEntry, renderStatus } from '@nxmesh/nginx/render/entry'
import { ENTRY_PATH, STATUS_PATH } from '@nxmesh/nginx/render/layout'
import { faultPoint } from '../faults.ts'
import { exists, hardLink, removeFile, removeTree, sha256Hex, writeExclusive } from '../host/files.ts'
import type { Order } from '../state/journal.ts'
import type { FolderRecord, RecordEntry } from '../state/records.ts'
import { ObjectError, parseObject } from './check-object.ts'
import { type ApplyContext, folderPath, Rejection, Unable } from './context.ts'
import type { Received } from './receive.ts'
import { makeDeploymentFolder } from './staging.ts'

export interface Rendered {
  readonly record: FolderRecord
  /** Absolute path of the deployment folder. */
  readonly path: string
  readonly apply_id: string
  readonly tree_hash: string
  /** The files that are not shared with the folder before. */
  readonly written: readonly RenderedFile[]
}

const FILE_MODE = 0o644
const FILES_PER_STEP = 50

/**
 * Renders a bundle into a new deployment folder. Files of unchanged objects are hard links to those of the folder before; a
 * file that has two names is never written, only replaced.
 * @throws Rejection for an object that cannot be rendered
 */
export async function render(
  ctx: ApplyContext,
  order: Order,
  received: Received,
  facts: RenderFacts,
  about: { readonly bundle_hash: string; readonly facts_key: string },
): Promise<Rendered> {
  faultPoint('render')
  const objects: RenderedObject[] = []
  for (const one of received.changed) {
    objects.push(renderOne(one, facts))
    if (objects.length % FILES_PER_STEP === 0) await breathe()
  }
  const entries = [...received.kept, ...objects.map(({ entry }) => entry)]
  refuseSharedPaths(objects, received.kept)
  const folder = newFolderName(ctx)
  const path = folderPath(ctx, folder)
  const apply_id = ctx.newId()
  const written = objects.flatMap(({ file }) => file ?? [])
  const own = ownFiles(ctx, order, path, apply_id)
  try {
    await makeFiles(ctx, path, received.kept, [...written, ...own])
  } catch (error) {
    await removeTree(path).catch(() => undefined)
    throw error
  }
  const record = { folder, ...about, entries: sortByKey(entries) }
  return { record, path, apply_id, tree_hash: treeHash(entries), written: [...written, ...own] }
}

interface RenderedObject {
  readonly file: RenderedFile | null
  readonly entry: RecordEntry
}

function renderOne({ key, hash, json }: Received['changed'][number], facts: RenderFacts): RenderedObject {
  try {
    const object = parseObject(json)
    const { kind, id } = resourceOf(object)
    if (object.kind !== 'http' && `${kind}/${id}` !== key) throw new ObjectError(`is listed as ${key}`)
    const file = renderObject(object, facts)
    return {
      file,
      entry: { key, hash, path: file?.path ?? null, file_hash: file ? sha256Hex(file.text) : '' },
    }
  } catch (error) {
    throw rejectionOf(error, key)
  }
}

function rejectionOf(error: unknown, key: string): unknown {
  if (error instanceof RenderError) {
    const message = error.field === null ? error.message : `${error.field}: ${error.message}`
    return new Rejection({ message, file: null, line: null, resource: error.resource })
  }
  if (!(error instanceof ObjectError)) return error
  const [kind = '', id = ''] = key.split('/')
  return new Rejection({ message: error.message, file: null, line: null, resource: { kind, id } })
}

function refuseSharedPaths(objects: readonly RenderedObject[], kept: readonly RecordEntry[]): void {
  const paths = new Set(kept.map(({ path }) => path))
  for (const { file, entry } of objects) {
    if (file === null) continue
    if (paths.has(file.path))
      throw new Rejection(errorAt(file.resource, `${entry.key}: ${file.path} is there twice`))
    paths.add(file.path)
  }
}

const errorAt = (resource: ResourceRef | null, message: string) => ({
  message,
  file: null,
  line: null,
  resource,
})

async function makeFiles(
  ctx: ApplyContext,
  path: string,
  kept: readonly RecordEntry[],
  written: readonly RenderedFile[],
): Promise<void> {
  const { base } = ctx
  if (base !== null && kept.length > 0 && ctx.staging.take(base, path)) dropOthers(path, base, kept)
  else linkAll(ctx, path, kept)
  for (const [index, file] of written.entries()) {
    writeExclusive(join(path, file.path), file.text, FILE_MODE, false)
    if (index % FILES_PER_STEP === FILES_PER_STEP - 1) await breathe()
  }
}

/** Heartbeats go on while thousands of files are written for the first time. */
function breathe(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

/** What was staged and is not kept has changed or gone. */
function dropOthers(path: string, base: FolderRecord, kept: readonly RecordEntry[]): void {
  if (kept.length === base.entries.length) return
  const stays = new Set(kept.map(({ key }) => key))
  for (const entry of base.entries) {
    if (entry.path !== null && !stays.has(entry.key)) removeFile(join(path, entry.path))
  }
}

function linkAll(ctx: ApplyContext, path: string, kept: readonly RecordEntry[]): void {
  makeDeploymentFolder(path)
  for (const entry of kept) {
    if (entry.path === null) continue
    try {
      hardLink(join(folderPath(ctx, ctx.base?.folder ?? ''), entry.path), join(path, entry.path))
    } catch (error) {
      // The next attempt renders everything anew.
      ctx.base = null
      throw new Unable(`cannot link ${entry.path} from the folder before: ${String(error)}`)
    }
  }
}

function ownFiles(ctx: ApplyContext, order: Order, path: string, apply_id: string): RenderedFile[] {
  const { deployment_id, generation } = order
  const port = ctx.adoption.status_port
  const status = renderStatus({ port, deployment_id, generation, apply_id })
  return [
    { path: ENTRY_PATH, text: renderEntry(path), resource: null },
    { path: STATUS_PATH, text: status, resource: null },
  ]
}

/** UTC, `YYYYMMDDHHMMSS`, with `-n` when that second has one already. */
function newFolderName(ctx: ApplyContext): string {
  const second = ctx.now().toISOString().replace(/\D/g, '').slice(0, 14)
  let name = second
  for (let n = 1; exists(folderPath(ctx, name)); n++) name = `${second}-${n}`
  return name
}

function sortByKey(entries: readonly RecordEntry[]): RecordEntry[] {
  return [...entries].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
}

/** SHA-256 over sorted lines `path\0sha256(file)\n`, without the entry and the status file, which differ at each apply. */
export function treeHash(entries: readonly RecordEntry[]): string {
  const lines = entries
    .filter(({ path }) => path !== null)
    .map(({ path, file_hash }) => `${path}\0${file_hash}\n`)
  return sha256Hex(lines.sort().join(''))
}
