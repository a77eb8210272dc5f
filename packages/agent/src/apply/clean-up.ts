import { join } from 'node:path'
import { LIMITS } from '@nxmesh/contract/limits'
import { listFolder, readLink, removeFile, removeTree, TEMPORARY_LINK_PREFIX } from '../host/files.ts'
import { AGENT_LIMITS } from '../limits.ts'
import type { Deployed } from '../state/journal.ts'
import { listRecords, readRecord, removeRecord } from '../state/records.ts'
import { type ApplyContext, currentLink, folderPath } from './context.ts'
import { STAGING_PREFIX } from './staging.ts'

const FOLDER_NAME = /^\d{14}(-\d+)?$/

/** The served folders that stay, oldest first, with this one as the newest. */
export function keptFolders(folders: readonly Deployed[], newest: Deployed): Deployed[] {
  return [...folders.filter(({ folder }) => folder !== newest.folder), newest].slice(
    -LIMITS.deployment_folders_kept,
  )
}

/** Removes deployment folders, records and objects that nothing needs any more; never the current folder. */
export async function cleanUp(ctx: ApplyContext): Promise<void> {
  const needed = neededFolders(ctx)
  for (const name of listFolder(ctx.adoption.conf_d_path)) {
    if (FOLDER_NAME.test(name) && !needed.has(name)) await removeTree(folderPath(ctx, name))
  }
  for (const folder of listRecords(ctx.paths)) if (!needed.has(folder)) removeRecord(ctx.paths, folder)
  if (ctx.objects.putSinceSweep() >= AGENT_LIMITS.sweep_after_objects) sweepObjects(ctx)
}

function neededFolders(ctx: ApplyContext): Set<string> {
  const { folders, pending, serving } = ctx.journal.read()
  const names = folders.map(({ folder }) => folder)
  const also = [
    pending?.folder,
    pending?.previous,
    serving?.folder,
    readLink(currentLink(ctx)),
    ctx.base?.folder,
  ]
  return new Set([...names, ...also.filter(name => typeof name === 'string')])
}

function sweepObjects(ctx: ApplyContext): void {
  const keep = new Set<string>()
  for (const folder of listRecords(ctx.paths)) {
    for (const { hash } of readRecord(ctx.paths, folder)?.entries ?? []) keep.add(hash)
  }
  ctx.objects.sweep(keep)
}

/** What a killed process may leave in the folder beside deployments. */
export async function removeLeftovers(ctx: ApplyContext): Promise<void> {
  for (const name of listFolder(ctx.adoption.conf_d_path)) {
    const path = join(ctx.adoption.conf_d_path, name)
    if (name.startsWith(TEMPORARY_LINK_PREFIX)) removeFile(path)
    else if (name.startsWith(STAGING_PREFIX)) await removeTree(path)
  }
}
