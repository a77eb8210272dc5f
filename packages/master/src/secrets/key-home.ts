import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Database } from '../database/database.ts'
import { writeFileDurably } from '../files.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { inFolder } from './key-file.ts'
import type { MasterKeySource } from './master-key.ts'
import { keyFolders, nameInstance, putKeyFolder, removeKeyFolder } from './secrets-store.ts'

/**
 * A key file in a data folder and the database that is wrapped under it know each other, so that a rotation started with the wrong
 * settings, or beside a master of another folder, changes neither: `master.key.home` names the folder and its database,
 * and the database names every folder whose key file opens it.
 */
const Home = z.object({ folder_id: z.string().min(1), instance_id: z.string().min(1) })
type Home = z.infer<typeof Home>

const homeFile = (source: MasterKeySource) => `${source.file}.home`

function readHome(source: MasterKeySource): Home | null {
  try {
    const read = Home.safeParse(JSON.parse(readFileSync(homeFile(source), 'utf8')))
    return read.success ? read.data : null
  } catch {
    // Not there or damaged: the next start writes it.
    return null
  }
}

/** At each start of a master. Writes only what changed. */
export async function settleHome(
  { db, newId }: { db: Database; newId: () => string },
  source: MasterKeySource,
): Promise<void> {
  if (!inFolder(source)) return
  const home = readHome(source)
  const place = `${dirname(source.file)} on ${hostname()}`
  const folder_id = home?.folder_id ?? newId()
  const known = await keyFolders(db.read)
  let { instance_id } = known
  if (instance_id === null || known.folders.get(folder_id) !== place) {
    instance_id = await db.write(async tx => {
      const present = await keyFolders(tx)
      const id = present.instance_id ?? newId()
      if (present.instance_id === null) await nameInstance(tx, id)
      const [oldest] = present.folders.keys()
      if (oldest && present.folders.size >= MASTER_LIMITS.key_homes) await removeKeyFolder(tx, oldest)
      await putKeyFolder(tx, folder_id, place)
      return id
    })
  }
  if (home?.instance_id !== instance_id || home.folder_id !== folder_id)
    writeFileDurably(homeFile(source), `${JSON.stringify({ folder_id, instance_id })}\n`)
}

/** What keeps a rotation from changing this folder's key file, in words; and the other folders with a key file of this database. */
export interface HomeVerdict {
  readonly problem: string | null
  readonly others: readonly { readonly folder_id: string; readonly place: string }[]
}

export async function judgeHome(db: Database, source: MasterKeySource): Promise<HomeVerdict> {
  const home = readHome(source)
  const { instance_id, folders } = await keyFolders(db.read)
  const others = [...folders].flatMap(([folder_id, place]) =>
    folder_id === home?.folder_id ? [] : [{ folder_id, place }],
  )
  if (!home || home.instance_id !== instance_id || !folders.has(home.folder_id)) {
    const problem = `The key file ${source.file} is not the one of this database: the last master of the data folder ${dirname(source.file)} served another one, or none.`
    return { problem, others }
  }
  return { problem: null, others }
}
