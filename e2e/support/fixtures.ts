import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Folder of real data that lies beside the checkout; `NXMESH_FIXTURES` names another. Null where there is none. */
export function fixturesFolder(): string | null {
  const folder = process.env.NXMESH_FIXTURES ?? resolve(import.meta.dir, '../../../shared/fixtures')
  return existsSync(folder) ? folder : null
}

export interface LoggedRequest {
  method: string
  path: string
}

/** The distinct requests of a real access log in `combined` format, in the order of their first appearance. */
export function loggedRequests(folder: string): LoggedRequest[] {
  const text = readFileSync(join(folder, 'access-log/combined.log'), 'utf8')
  const found = new Map<string, LoggedRequest>()
  for (const [, method, path] of text.matchAll(/"([A-Z]+) (\S+) HTTP\/1\.[01]"/g)) {
    if (method && path) found.set(`${method} ${path}`, { method, path })
  }
  return [...found.values()]
}
