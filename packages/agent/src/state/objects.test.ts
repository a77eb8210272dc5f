import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sha256Hex } from '../host/files.ts'
import { openObjectCache } from './objects.ts'
import { makeStateFolders, statePaths } from './paths.ts'

const root = mkdtempSync(join(tmpdir(), 'nxmesh-objects-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let count = 0

function fresh() {
  const paths = statePaths(join(root, String(count++)))
  makeStateFolders(paths)
  return paths
}

const objects = (names: readonly string[], chars = 10) =>
  names.map(name => {
    const json = JSON.stringify({ name: name.repeat(chars) })
    return { hash: sha256Hex(json), json }
  })

describe('the object cache', () => {
  test('keeps an object only under its own hash, in a file closed to others', () => {
    const paths = fresh()
    const cache = openObjectCache(paths)
    const hash = sha256Hex('{}')
    expect(cache.put(hash, '{"other":1}')).toBe(false)
    expect(cache.put('../../etc/passwd', '{}')).toBe(false)
    expect(cache.put(hash, '{}')).toBe(true)
    expect(cache.get(hash)).toBe('{}')
    expect(cache.get('../../etc/passwd')).toBeNull()
    expect(statSync(paths.objects).mode & 0o777).toBe(0o600)
    cache.close()
  })

  test('has after a restart what it had before', () => {
    const paths = fresh()
    const all = objects(['a', 'ä€', 'x'.repeat(300_000), 'last'])
    const cache = openObjectCache(paths)
    for (const { hash, json } of all) cache.put(hash, json)
    cache.close()
    const again = openObjectCache(paths)
    for (const { hash, json } of all) expect(again.get(hash)).toBe(json)
    again.close()
  })

  test('loses only what a kill cut off, wherever that was, and goes on behind the rest', () => {
    const [first, second, third] = objects(['first', 'second', 'third'])
    if (!first || !second || !third) throw new Error('three objects are needed')
    const paths = fresh()
    const cache = openObjectCache(paths)
    cache.put(first.hash, first.json)
    const whole_bytes = statSync(paths.objects).size
    cache.put(second.hash, second.json)
    cache.close()
    const both = readFileSync(paths.objects)
    for (let size = whole_bytes; size < both.length; size++) {
      writeFileSync(paths.objects, both)
      truncateSync(paths.objects, size)
      const torn = openObjectCache(paths)
      expect([size, torn.get(first.hash), torn.get(second.hash)]).toEqual([size, first.json, null])
      torn.put(third.hash, third.json)
      torn.put(second.hash, second.json)
      torn.close()
      const mended = openObjectCache(paths)
      for (const { hash, json } of [first, second, third]) expect(mended.get(hash)).toBe(json)
      mended.close()
    }
  })

  test('never answers with damaged text, and takes the object again', () => {
    const paths = fresh()
    const [one, two] = objects(['one', 'two'])
    if (!one || !two) throw new Error('two objects are needed')
    const cache = openObjectCache(paths)
    cache.put(one.hash, one.json)
    cache.put(two.hash, two.json)
    const bytes = readFileSync(paths.objects)
    bytes[40] = (bytes[40] ?? 0) ^ 1
    writeFileSync(paths.objects, bytes)
    expect(cache.get(one.hash)).toBeNull()
    expect(cache.get(two.hash)).toBe(two.json)
    expect(cache.put(one.hash, one.json)).toBe(true)
    expect(cache.get(one.hash)).toBe(one.json)
    cache.close()
  })

  test('starts anew when a power cut left anything else in its place', () => {
    for (const rubbish of [Buffer.alloc(5_000), Buffer.alloc(5_000, 0xff), Buffer.from('no objects')]) {
      const paths = fresh()
      writeFileSync(paths.objects, rubbish)
      const cache = openObjectCache(paths)
      const hash = sha256Hex('{}')
      expect(cache.get(hash)).toBeNull()
      cache.put(hash, '{}')
      expect(cache.get(hash)).toBe('{}')
      cache.close()
    }
  })

  test('shrinks when most of it is of no use any more, and keeps what is', () => {
    const paths = fresh()
    const all = objects(Array.from({ length: 100 }, (_, i) => `object ${i} `))
    const cache = openObjectCache(paths)
    for (const { hash, json } of all) cache.put(hash, json)
    const before_bytes = statSync(paths.objects).size
    cache.sweep(new Set(all.slice(20).map(({ hash }) => hash)))
    expect(statSync(paths.objects).size).toBe(before_bytes)
    const kept = all.slice(90)
    // What a kill left of an earlier attempt.
    writeFileSync(`${paths.objects}.new`, 'half')
    cache.sweep(new Set(kept.map(({ hash }) => hash)))
    expect(statSync(paths.objects).size).toBeLessThan(before_bytes / 5)
    expect(existsSync(`${paths.objects}.new`)).toBe(false)
    expect(cache.get(all[0]?.hash ?? '')).toBeNull()
    const [added] = objects(['added'])
    if (added) cache.put(added.hash, added.json)
    cache.close()
    const again = openObjectCache(paths)
    for (const { hash, json } of [...kept, ...(added ? [added] : [])]) expect(again.get(hash)).toBe(json)
    again.close()
  })
})
