/** Where files lie below a deployment folder, and the comment by which a person finds what a file came from. */
import type { ResourceRef } from '../objects.ts'
import { refuseUnsafe } from '../template/values.ts'
import { upstreamName } from './fields.ts'

/** The only file at the top, because `current/*.conf` must open exactly one file through the symlink. */
export const ENTRY_PATH = 'nxmesh.conf'
export const HTTP_PATH = 'http/http.conf'
export const STATUS_PATH = 'status/status.conf'
/** In the order in which the entry includes them. */
export const SUBFOLDERS = ['http', 'upstreams', 'listeners', 'sites', 'status'] as const

const SLUG_MAX_CHARS = 40

/** The whole id, checked by `idText`, is in the name, so that two sites never share a file. */
export function sitePath(name: string, id: string): string {
  const slug = refuseUnsafe(name)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, SLUG_MAX_CHARS)
    .replace(/^-+|-+$/g, '')
  return `sites/${slug === '' ? 'site' : slug}-${id}.conf`
}

export const upstreamPath = (name: string): string => `upstreams/${upstreamName(name)}.conf`
export const listenerPath = (port: number): string => `listeners/${port}.conf`

/** First line of every rendered file. */
export function banner({ kind, id }: ResourceRef, version_number: string | null): string {
  return `# NxMesh ${kind} ${id}${version_number === null ? '' : ` version ${version_number}`}\n`
}
