import { join } from 'node:path'
import {
  listFolder,
  makeFolder,
  PRIVATE_FILE_MODE,
  PRIVATE_FOLDER_MODE,
  readText,
  removeFile,
  renamePath,
  sha256Hex,
  writeExclusive,
} from '../host/files.ts'
import type { StatePaths } from './paths.ts'

const HASH = /^[0-9a-f]{64}$/

/** Objects by the SHA-256 of their JSON. Not fsynced: what a crash loses fails its hash and is asked for again. */
export interface ObjectCache {
  /** False, and nothing kept, when the text is not what the hash says. */
  put(hash: string, json: string): boolean
  /** The JSON, verified; null when it is missing or damaged. */
  get(hash: string): string | null
  /** Drops all but these. */
  sweep(keep: ReadonlySet<string>): void
  /** How many were put since the last sweep. */
  putSinceSweep(): number
}

export function openObjectCache(paths: StatePaths): ObjectCache {
  const folderOf = (hash: string) => join(paths.objects, hash.slice(0, 2))
  const pathOf = (hash: string) => join(folderOf(hash), hash)
  const made = new Set<string>()
  let put_count = 0
  let temporary = 0
  return {
    put(hash, json) {
      if (!HASH.test(hash) || sha256Hex(json) !== hash) return false
      const folder = folderOf(hash)
      if (!made.has(folder)) makeFolder(folder, PRIVATE_FOLDER_MODE)
      made.add(folder)
      const path = join(folder, `.${process.pid}.${temporary++}.tmp`)
      removeFile(path)
      writeExclusive(path, json, PRIVATE_FILE_MODE, false)
      renamePath(path, pathOf(hash))
      put_count++
      return true
    },
    get(hash) {
      if (!HASH.test(hash)) return null
      const json = readText(pathOf(hash))
      return json !== null && sha256Hex(json) === hash ? json : null
    },
    sweep(keep) {
      for (const folder of listFolder(paths.objects)) {
        for (const name of listFolder(join(paths.objects, folder))) {
          if (!keep.has(name)) removeFile(join(paths.objects, folder, name))
        }
      }
      put_count = 0
    },
    putSinceSweep: () => put_count,
  }
}
