import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** What a demo remembers from start to start; written before it is used, so that a crash in between forgets nothing. */
export interface Memory {
  readonly email: string
  readonly password: string
  api_key?: string
  organization_id?: string
  workspace_id?: string
  agent_id?: string
  sample_site_made?: boolean
}

const PASSWORD_BYTES = 15

export function loadMemory(path: string): Memory {
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Memory
  const memory = { email: 'admin@example.com', password: randomBytes(PASSWORD_BYTES).toString('base64url') }
  writePrivate(path, memory)
  return memory
}

/** Whole or not at all, readable by its owner only. */
export function writePrivate(path: string, content: object): void {
  const temporary = `${path}.new`
  rmSync(temporary, { force: true })
  writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true })
  renameSync(temporary, path)
}
