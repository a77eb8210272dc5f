import type { ConfigError } from '@nxmesh/contract/entities/deployment'
import { parseConfig, walk } from '@nxmesh/nginx/parser'
import { STATUS_PATH } from '@nxmesh/nginx/render/layout'
import { faultPoint } from '../faults.ts'
import { isFolder, readLink, readText, swapLink, syncPaths, whyUnsafeFolder } from '../host/files.ts'
import { findMaster, workersOf } from '../nginx/master-process.ts'
import { proveServing } from '../nginx/proof.ts'
import { reload } from '../nginx/reload.ts'
import { type ApplyContext, currentLink, folderPath, type StepClock } from './context.ts'

export interface Switch {
  /** Name of the folder that becomes current. */
  readonly folder: string
  readonly onLoaded?: () => void
}

const NO_PLACE = { file: null, line: null, resource: null }

/**
 * Makes a folder current and has nginx serve it: swap, reload, proof. The one way in which anything becomes live, be it a
 * deployment, its undoing or a rollback by hand; the caller holds the apply lock and has written what it is about to do.
 * @returns null when it is proved to serve, else what went wrong
 */
export async function makeCurrent(
  ctx: ApplyContext,
  { folder, onLoaded }: Switch,
  clock: StepClock,
): Promise<ConfigError | null> {
  const apply_id = applyIdOf(ctx, folder)
  if (apply_id === null) return { message: `the deployment folder ${folder} is not whole`, ...NO_PLACE }
  const unsafe = whyUnsafeFolder(ctx.adoption.conf_d_path)
  if (unsafe !== null) return { message: unsafe, ...NO_PLACE }
  const { status_port, error_log_path } = ctx.adoption
  const master = findMaster(ctx.installation, status_port)
  if (master === null) return { message: 'nginx is not running', ...NO_PLACE }
  const older = workersOf(master)
  if (readLink(currentLink(ctx)) !== folder) swapLink(currentLink(ctx), folder)
  clock.lap('swap')
  faultPoint('swapped')
  const outcome = await reload(master, error_log_path)
  clock.lap('reload')
  if (!outcome.loaded) return reloadError(ctx, folder, outcome.error)
  faultPoint('verify')
  onLoaded?.()
  // While nginx changes its workers, the link becomes durable.
  const [missing] = await Promise.all([
    proveServing({ master, older, status_port, apply_id }),
    syncPaths([ctx.adoption.conf_d_path]),
  ])
  clock.lap('verify')
  return missing === null ? null : { message: missing, ...NO_PLACE }
}

function reloadError(
  ctx: ApplyContext,
  folder: string,
  { message, file, line }: { message: string; file: string | null; line: number | null },
): ConfigError {
  const path = `${folderPath(ctx, folder)}/`
  return { message, file: file?.startsWith(path) ? file.slice(path.length) : file, line, resource: null }
}

/** The apply id that a folder's status server answers with; null when the folder is not a whole deployment. */
export function applyIdOf(ctx: ApplyContext, folder: string): string | null {
  if (!isFolder(folderPath(ctx, folder))) return null
  const text = readText(`${folderPath(ctx, folder)}/${STATUS_PATH}`)
  if (text === null) return null
  let apply_id: string | null = null
  walk(parseConfig(text).directives, ({ name, args }) => {
    const marker = name === 'return' ? args[1]?.value.split(' ') : undefined
    if (marker?.length === 4) apply_id = marker[2] ?? null
  })
  return apply_id
}
