import { hostname } from 'node:os'
import { runCommand } from './commands.ts'

const HOST_NAME_MAX_CHARS = 253
const SYNC_MAX_MS = 60_000

export function hostName(): string {
  return hostname().slice(0, HOST_NAME_MAX_CHARS) || 'localhost'
}

/** Makes everything on the file system that holds this path durable (syncfs, which Node does not offer). */
export async function syncFileSystem(path: string): Promise<void> {
  const { exit_code, output } = await runCommand('sync', ['-f', path], SYNC_MAX_MS)
  if (exit_code !== 0) throw new Error(`the file system of ${path} cannot be synced: ${output.trim()}`)
}
