import { join } from 'node:path'
import { SUBFOLDERS } from '@nxmesh/nginx/render/layout'
import { syncPaths } from '../host/files.ts'
import { syncFileSystem } from '../host/system.ts'
import { writeRecord } from '../state/records.ts'
import type { ApplyContext } from './context.ts'
import type { Rendered } from './render.ts'

/** From here on one sync of the whole file system is cheaper than one of each file. */
const FILES_SYNCED_SINGLY_MAX = 64

/**
 * Makes a rendered folder durable: the files that are new, then the lists of names, then the record. Runs beside `nginx -t`,
 * so that it costs no time of its own. Shared files were made durable by the apply that wrote them.
 */
export async function store(ctx: ApplyContext, rendered: Rendered): Promise<void> {
  const { path, written } = rendered
  const few = written.length <= FILES_SYNCED_SINGLY_MAX
  const files = few ? written.map(file => join(path, file.path)) : []
  const folders = [...SUBFOLDERS.map(name => join(path, name)), path, ctx.adoption.conf_d_path]
  await Promise.all([few ? null : syncFileSystem(path), syncPaths([...files, ...folders])])
  writeRecord(ctx.paths, rendered.record)
}
