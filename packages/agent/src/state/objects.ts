import { removeFile, renamePath, sha256Hex } from '../host/files.ts'
import { openRandomAccess, type RandomAccessFile } from '../host/random-access.ts'
import { AGENT_LIMITS } from '../limits.ts'
import type { StatePaths } from './paths.ts'

/** Objects by the SHA-256 of their JSON. Not fsynced: what a crash loses fails its hash and is asked for again. */
export interface ObjectCache {
  /** False, and nothing kept, when the text is not what the hash says. */
  put(hash: string, json: string): boolean
  /** The JSON, verified; null when it is missing or damaged. */
  get(hash: string): string | null
  /** Lets all but these go; the file shrinks when more than half of it is of no use. */
  sweep(keep: ReadonlySet<string>): void
  /** How many were put since the last sweep. */
  putSinceSweep(): number
  close(): void
}

/*
 * One file, because thousands of small ones take a disk seconds: records one after another, each the hash (32 bytes), the
 * length of the text in bytes (4, big-endian), and the text (UTF-8). Records are only ever appended; the last one of a hash
 * counts. What a kill cut off at the end is cut off at the next opening.
 */
const HASH = /^[0-9a-f]{64}$/
const HASH_BYTES = 32
const HEADER_BYTES = HASH_BYTES + 4
const SCAN_BYTES = 256 * 1024
/** Damaged lengths would make the scan read anywhere. */
const RECORD_MAX_BYTES = 64 * 1024 * 1024

interface Place {
  /** Of the text. */
  readonly position: number
  readonly length: number
}

interface Pack {
  readonly file: RandomAccessFile
  readonly places: Map<string, Place>
  /** Where the next record goes; what lies behind does not count. */
  end: number
}

export function openObjectCache(paths: StatePaths): ObjectCache {
  let opened: Pack | null = null
  let put_count = 0
  // Opened when first used: commands beside a running agent, which use no objects, must not touch its file.
  const pack = () => {
    opened ??= openPack(paths.objects)
    return opened
  }
  return {
    put(hash, json) {
      if (!HASH.test(hash) || sha256Hex(json) !== hash) return false
      if (pack().places.has(hash)) return true
      // A master that sends without end must not fill the disk; what was still wanted is asked for again.
      if (pack().end >= AGENT_LIMITS.object_cache_bytes) clear(pack())
      append(pack(), hash, Buffer.from(json))
      put_count++
      return true
    },
    get(hash) {
      const json = read(pack(), hash)?.toString('utf8') ?? null
      if (json !== null && sha256Hex(json) === hash) return json
      pack().places.delete(hash)
      return null
    },
    sweep(keep) {
      const { places } = pack()
      for (const hash of places.keys()) if (!keep.has(hash)) places.delete(hash)
      if (usedBytes(pack()) * 2 < pack().end) opened = compact(paths.objects, pack())
      put_count = 0
    },
    putSinceSweep: () => put_count,
    close() {
      opened?.file.close()
      opened = null
    },
  }
}

const newPath = (path: string) => `${path}.new`

function openPack(path: string): Pack {
  removeFile(newPath(path))
  const pack: Pack = { file: openRandomAccess(path), places: new Map(), end: 0 }
  scan(pack)
  pack.file.truncate(pack.end)
  return pack
}

/** Reads the headers in big steps, up to the first record that is not whole. */
function scan(pack: Pack): void {
  const size = pack.file.size()
  let buffer: Buffer = Buffer.alloc(0)
  let start = 0
  while (pack.end + HEADER_BYTES <= size) {
    if (pack.end < start || pack.end + HEADER_BYTES > start + buffer.length) {
      start = pack.end
      buffer = pack.file.read(start, Math.min(SCAN_BYTES, size - start))
    }
    const at = pack.end - start
    const length = buffer.readUInt32BE(at + HASH_BYTES)
    const position = pack.end + HEADER_BYTES
    if (length === 0 || length > RECORD_MAX_BYTES || position + length > size) return
    pack.places.set(buffer.toString('hex', at, at + HASH_BYTES), { position, length })
    pack.end = position + length
  }
}

/** A write that fails in the middle leaves `end` where it was, so that the next one writes over it. */
function append(pack: Pack, hash: string, text: Buffer): void {
  const record = Buffer.allocUnsafe(HEADER_BYTES + text.length)
  record.write(hash, 0, 'hex')
  record.writeUInt32BE(text.length, HASH_BYTES)
  text.copy(record, HEADER_BYTES)
  pack.file.write(pack.end, record)
  pack.places.set(hash, { position: pack.end + HEADER_BYTES, length: text.length })
  pack.end += record.length
}

function clear(pack: Pack): void {
  pack.places.clear()
  pack.file.truncate(0)
  pack.end = 0
}

function read({ file, places }: Pack, hash: string): Buffer | null {
  const place = places.get(hash)
  return place === undefined ? null : file.read(place.position, place.length)
}

function usedBytes({ places }: Pack): number {
  let sum = 0
  for (const { length } of places.values()) sum += HEADER_BYTES + length
  return sum
}

/** Copies what counts to a new file and puts that in place of the old one. A kill leaves the old one. */
function compact(path: string, old: Pack): Pack {
  removeFile(newPath(path))
  const pack: Pack = { file: openRandomAccess(newPath(path)), places: new Map(), end: 0 }
  try {
    for (const hash of old.places.keys()) {
      const text = read(old, hash)
      if (text !== null && text.length > 0) append(pack, hash, text)
    }
    renamePath(newPath(path), path)
  } catch (error) {
    pack.file.close()
    removeFile(newPath(path))
    throw error
  }
  old.file.close()
  return pack
}
