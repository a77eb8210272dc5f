import { resolve } from 'node:path'
import { makeAuditLog } from './audit/audit-service.ts'
import { loadConfig } from './config.ts'
import type { ConfigSources } from './config-values.ts'
import { openExisting } from './database/open-existing.ts'
import { newId } from './ids.ts'
import { type MasterKeySource, nameOfSource } from './secrets/master-key.ts'
import { type Rotated, rotateDataKey, rotateMasterKey } from './secrets/rotation.ts'
import { makeHomes } from './tenancy/homes.ts'

export interface RotateKeyFlags {
  readonly new_master_key_file: string | undefined
  readonly new_master_key_command: string | undefined
  readonly only_this_folder: boolean
  /** Instead of the master key. */
  readonly data_key: boolean
}

/** `nxmesh master rotate-key`: returns what to tell the operator. Throws what the operator must mend. */
export async function rotateKey(sources: ConfigSources, flags: RotateKeyFlags): Promise<string> {
  process.umask(0o077)
  const config = await loadConfig(sources)
  const db = await openExisting(config.database_url, { to_read: false })
  try {
    const now = () => new Date()
    const audit = makeAuditLog({ db, now, newId, organizationOf: makeHomes() })
    const deps = { db, source: config.master_key, audit, now, newId }
    if (flags.data_key)
      return `The data key ${await rotateDataKey(deps)} seals from now on; running masters take it up within a minute.`
    const { only_this_folder } = flags
    const rotated = await rotateMasterKey(deps, { given: givenKey(flags), only_this_folder })
    return report(config.master_key, rotated, flags)
  } finally {
    await db.close()
  }
}

function givenKey(flags: RotateKeyFlags): MasterKeySource | null {
  const { new_master_key_file: file, new_master_key_command: command } = flags
  if (file === undefined && command === undefined) return null
  return { value: null, command: command ?? null, file: resolve(file ?? '/'), may_create: false }
}

function report(source: MasterKeySource, rotated: Rotated, flags: RotateKeyFlags): string {
  const { data_keys, master_key_id, file, others, erased } = rotated
  const keys = data_keys === 1 ? 'One data key is' : `${data_keys} data keys are`
  const lines = [`${keys} wrapped under the new master key ${master_key_id}. Running masters go on.`]
  if (file) lines.push(`${file} holds the new key; the old one is gone.`)
  else lines.push(...todo(source, flags))
  for (const place of others)
    lines.push(
      `The data folder ${place} had a key file of its own: put the new key into it before a master starts there.`,
    )
  lines.push('Backups that were made before open with the old master key only: make a new one.')
  if (!erased)
    lines.push(
      'Old wraps may still lie in the files of the database, because it was in use: they go when the master is restarted or its tables are cleaned (VACUUM).',
    )
  return lines.join('\n')
}

function todo(source: MasterKeySource, flags: RotateKeyFlags): string[] {
  const where = flags.new_master_key_file ?? 'what --new-master-key-command prints'
  const how =
    source.value !== null
      ? `set NXMESH_MASTER_KEY (or what else sets master_key) to the key in ${where}`
      : source.command !== null
        ? `let master_key_command print the key in ${where}, or set it to another command`
        : `put the key in ${where} into ${source.file}, or set master_key_file to it`
  return [
    `Before the next start of any master of this database: ${how}. With the old key from ${nameOfSource(source)} none starts.`,
  ]
}
