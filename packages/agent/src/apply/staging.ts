import { join } from 'node:path'
import { SUBFOLDERS } from '@nxmesh/nginx/render/layout'
import { exists, hardLink, makeNewFolder, removeTree, renamePath } from '../host/files.ts'
import type { FolderRecord } from '../state/records.ts'

/**
 * The next deployment folder, filled in advance with hard links to the files of the current one. Linking 5,000 files takes
 * longer than an edit may take, and between two edits there is time.
 */
export interface Staging {
  /** Begins to fill a folder from this one's files, in small steps beside other work. */
  begin(base: FolderRecord): void
  /**
   * Completes the folder if it was begun from this base, and renames it to `target`.
   * @returns false when there is none to take; then nothing was made
   */
  take(base: FolderRecord, target: string): boolean
  /** Stops, and removes what was begun. */
  end(): void
}

export const STAGING_PREFIX = '.next-'
const FOLDER_MODE = 0o755
const LINKS_PER_STEP = 100
const STEP_PAUSE_MS = 2

interface Stage {
  readonly base: FolderRecord
  readonly path: string
  next: number
}

export function makeStaging(conf_d_path: string, newId: () => string): Staging {
  let stage: Stage | null = null
  const drop = (old: Stage | null) => {
    if (old !== null) removeTree(old.path).catch(() => undefined)
  }
  const fill = (one: Stage, count: number) => {
    const end = Math.min(one.next + count, one.base.entries.length)
    for (; one.next < end; one.next++) {
      const path = one.base.entries[one.next]?.path
      if (path) hardLink(join(conf_d_path, one.base.folder, path), join(one.path, path))
    }
    return one.next >= one.base.entries.length
  }
  const work = (one: Stage) => {
    if (stage !== one) return
    try {
      if (!fill(one, LINKS_PER_STEP)) setTimeout(work, STEP_PAUSE_MS, one)
    } catch {
      // A disk that is full or read-only is reported by the prepare that meets it.
      stage = null
      drop(one)
    }
  }
  return {
    begin(base) {
      drop(stage)
      const path = join(conf_d_path, `${STAGING_PREFIX}${newId()}`)
      stage = { base, path, next: 0 }
      try {
        makeDeploymentFolder(path)
      } catch {
        stage = null
        return
      }
      setTimeout(work, STEP_PAUSE_MS, stage)
    },
    end() {
      drop(stage)
      stage = null
    },
    take(base, target) {
      const taken = stage
      stage = null
      try {
        if (taken === null || taken.base.folder !== base.folder) throw new Error('staged for another base')
        fill(taken, base.entries.length)
        if (exists(target)) throw new Error('the name is taken')
        renamePath(taken.path, target)
        return true
      } catch {
        drop(taken)
        return false
      }
    },
  }
}

/** A new folder with the subfolders that the entry file includes. */
export function makeDeploymentFolder(path: string): void {
  makeNewFolder(path, FOLDER_MODE)
  for (const name of SUBFOLDERS) makeNewFolder(join(path, name), FOLDER_MODE)
}
