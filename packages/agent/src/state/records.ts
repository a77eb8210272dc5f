import { join } from 'node:path'
import { manifestText } from '@nxmesh/contract/channel/manifest'
import type { ManifestEntry } from '@nxmesh/contract/channel/messages'
import {
  errorCode,
  listFolder,
  PRIVATE_FILE_MODE,
  readText,
  removeFile,
  sha256Hex,
  writeAtomic,
} from '../host/files.ts'
import type { StatePaths } from './paths.ts'

/** One object of a bundle and the file that it was rendered to. */
export interface RecordEntry {
  readonly key: string
  readonly hash: string
  /** Below the deployment folder; null where the object needs no file on this host. */
  readonly path: string | null
  /** SHA-256 of the file's text; empty without a file. */
  readonly file_hash: string
}

/** What a deployment folder was made of; lets the next one reuse its files and the master send a delta. */
export interface FolderRecord {
  readonly folder: string
  readonly bundle_hash: string
  /** What rendering depended on besides the objects. */
  readonly facts_key: string
  /** Sorted by key. */
  readonly entries: readonly RecordEntry[]
}

const pathOf = (paths: StatePaths, folder: string) => join(paths.records, `${folder}.txt`)

/** A line of facts, then a line per entry, separated by tabs; none of the fields can hold a tab. */
export function writeRecord(paths: StatePaths, record: FolderRecord): void {
  let text = `${record.bundle_hash}\t${record.facts_key}\n`
  for (const { key, hash, path, file_hash } of record.entries) {
    text += `${key}\t${hash}\t${path ?? ''}\t${file_hash}\n`
  }
  writeAtomic(pathOf(paths, record.folder), text, PRIVATE_FILE_MODE)
}

/** Null when there is none or it is damaged: then everything is rendered again, and the master is asked for the manifest. */
export function readRecord(paths: StatePaths, folder: string): FolderRecord | null {
  const lines = readText(pathOf(paths, folder))?.split('\n')
  const [bundle_hash = '', facts_key = ''] = lines?.[0]?.split('\t') ?? []
  if (!lines) return null
  const entries = lines.slice(1, -1).map(line => {
    const [key = '', hash = '', path = '', file_hash = ''] = line.split('\t')
    return { key, hash, path: path === '' ? null : path, file_hash }
  })
  const record = { folder, bundle_hash, facts_key, entries }
  return bundleHash(manifestOf(record)) === bundle_hash ? record : null
}

export function manifestOf(record: FolderRecord): ManifestEntry[] {
  return record.entries.map(({ key, hash }) => [key, hash])
}

export function bundleHash(sorted: readonly ManifestEntry[]): string {
  return sha256Hex(manifestText(sorted))
}

export function removeRecord(paths: StatePaths, folder: string): void {
  removeFile(pathOf(paths, folder))
}

/** Folders that have a record. */
export function listRecords(paths: StatePaths): string[] {
  return listFolder(paths.records)
    .filter(name => /^\d{14}(-\d+)?\.txt$/.test(name))
    .map(name => name.slice(0, -'.txt'.length))
}

/** The folder, newest first, whose bundle this is. */
export function findRecord(paths: StatePaths, bundle_hash: string): FolderRecord | null {
  for (const folder of listRecords(paths).sort().reverse()) {
    const record = tryRead(paths, folder)
    if (record?.bundle_hash === bundle_hash) return record
  }
  return null
}

function tryRead(paths: StatePaths, folder: string): FolderRecord | null {
  try {
    return readRecord(paths, folder)
  } catch (error) {
    if (errorCode(error) === null) throw error
    return null
  }
}
