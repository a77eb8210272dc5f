import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tryLock } from '../host/lock.ts'
import { readIdentity, writeIdentity } from './identity.ts'
import { openJournal } from './journal.ts'
import { makeStateFolders, statePaths } from './paths.ts'
import { bundleHash, readRecord, writeRecord } from './records.ts'

const root = mkdtempSync(join(tmpdir(), 'nxmesh-state-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let count = 0
function freshPaths() {
  const paths = statePaths(join(root, String(count++)))
  makeStateFolders(paths)
  return paths
}

describe('the state folder', () => {
  test('is closed to others, and so is each file', () => {
    const paths = freshPaths()
    const identity = {
      agent_id: 'a',
      workspace_id: 'w',
      name: 'n',
      key_id: 'k',
      session_key: 's',
      master_url: 'https://m',
      ca_pem: '',
      server_name: 'm',
    }
    writeIdentity(paths, identity)
    expect(readIdentity(paths)).toEqual(identity)
    expect(statSync(paths.root).mode & 0o777).toBe(0o700)
    expect(statSync(paths.identity).mode & 0o777).toBe(0o600)
    expect(readdirSync(paths.root).filter(name => name.endsWith('.tmp'))).toEqual([])
  })

  test('with a damaged identity or journal is a clear error, not a new beginning', () => {
    const paths = freshPaths()
    writeFileSync(paths.identity, '{"agent_id":')
    writeFileSync(paths.journal, '')
    expect(() => readIdentity(paths)).toThrow(`${paths.identity} is damaged`)
    expect(() => openJournal(paths)).toThrow(`${paths.journal} is damaged`)
  })

  test('shows what another process wrote into the journal', () => {
    const paths = freshPaths()
    const [ours, theirs] = [openJournal(paths), openJournal(paths)]
    ours.update({ fence: { epoch: 1, generation: 5 } })
    theirs.update({ hold: { since: 'now', reason: 'by hand' } })
    expect(ours.read()).toMatchObject({ fence: { generation: 5 }, hold: { reason: 'by hand' } })
  })

  test('has one lock holder at a time', () => {
    const paths = freshPaths()
    const first = tryLock(paths.agent_lock)
    expect(first).not.toBeNull()
    expect(tryLock(paths.agent_lock)).toBeNull()
    first?.release()
    const again = tryLock(paths.agent_lock)
    expect(again).not.toBeNull()
    again?.release()
  })
})

test('a damaged record of a deployment folder is as good as none', () => {
  const paths = freshPaths()
  const entries = [{ key: 'listener/80', hash: 'h', path: 'listeners/80.conf', file_hash: 'f' }]
  const record = {
    folder: '20260101000000',
    bundle_hash: bundleHash([['listener/80', 'h']]),
    facts_key: 'x',
    entries,
  }
  writeRecord(paths, record)
  expect(readRecord(paths, record.folder)).toEqual(record)
  writeFileSync(
    join(paths.records, `${record.folder}.txt`),
    `${record.bundle_hash}\tx\nlistener/81\th\tp\tf\n`,
  )
  expect(readRecord(paths, record.folder)).toBeNull()
})
