import { beforeEach, describe, expect, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract'
import pino from 'pino'
import { callerWith } from '../access/testing.ts'
import { makeAuditLog } from '../audit/audit-service.ts'
import type { Database, Tx } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import { makeRecorder } from '../deployments/recorder.ts'
import { newRun } from '../deployments/run.ts'
import { newId } from '../ids.ts'
import { makeHomes } from '../tenancy/homes.ts'
import { until } from '../testing-until.ts'
import type { ChangeReaders } from './events.ts'
import { makePublisher, type PublishTo } from './publish.ts'

const ada = callerWith()
const now = () => new Date('2026-11-23T12:00:00.000Z')
const organization_id = newId()
const workspace_id = newId()

function start(read: Partial<ChangeReaders> = {}, wanted = true) {
  const publisher = makePublisher()
  const told: Record<string, unknown>[] = []
  const to: PublishTo = {
    read: {
      deployments: async () => [],
      agents: async () => [],
      workspaceOf: async () => workspace_id,
      organizationOf: async () => organization_id,
      ...read,
    },
    wanted: () => wanted,
    deliver: async happenings => {
      for (const one of happenings) told.push(JSON.parse(`{${one.tail}`))
    },
    flood: topic => void told.push({ flood: topic }),
    log: pino({ level: 'silent' }),
    now,
  }
  publisher.connect(to)
  return { ...publisher, told }
}

forEachEngine((_engine, open) => {
  describe('what a transaction does', () => {
    let db: Database
    beforeEach(async () => {
      db = await open()
    })
    const event = { action: 'thing.update', object_type: 'thing', workspace_id }
    const auditOf = (to: ReturnType<typeof start>) =>
      makeAuditLog({ db, now, newId, organizationOf: makeHomes(), appended: to.changes.audit })

    test('is told after its commit, not before', async () => {
      const to = start()
      const audit = auditOf(to)
      const written = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      const writing = db.write(async tx => {
        await audit.append(tx, ada, event)
        written.resolve()
        await gate.promise
      })
      await written.promise
      // Longer than changes are gathered.
      const end_ms = performance.now() + 2 * LIMITS.events_gather_ms
      await until('the gathering to be over', () => performance.now() > end_ms)
      expect(to.told).toEqual([])
      gate.resolve()
      await writing
      await until('the event', () => to.told.length > 0)
      expect(to.told).toMatchObject([
        { type: 'event', topic: 'audit', workspace_id, organization_id, entry: { action: 'thing.update' } },
      ])
    })

    test('is not told when it is rolled back', async () => {
      const to = start()
      const audit = auditOf(to)
      const failing = db.write(async tx => {
        await audit.append(tx, ada, event)
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      await audit.record(ada, { ...event, action: 'thing.create' })
      await until('the event of the second one', () => to.told.length > 0)
      expect(to.told).toMatchObject([{ entry: { action: 'thing.create' } }])
    })

    test('of deliveries is told once it is on record, also when that takes a second try', async () => {
      const changed: string[] = []
      let broken = true
      const flaky: Database = {
        ...db,
        write: <T>(work: (tx: Tx) => Promise<T>) =>
          db.write(async tx => {
            const done = await work(tx)
            if (broken) throw new Error('the disk is full')
            return done
          }),
      }
      const recorder = makeRecorder({
        db: flaky,
        isKept: () => true,
        onError: () => {},
        changed: {
          deployment: ({ id }) => void changed.push(id),
          position: agent_id => void changed.push(agent_id),
        },
      })
      const order = { epoch: 1, generation: 1, release_id: newId(), release_number: 1 }
      const about = { trigger: 'change', created_by: ada.principal, created_at: now().toISOString() } as const
      const run = newRun({ id: newId(), workspace_id, ...order, ...about })
      recorder.run(run)
      const flushed = recorder.flushed()
      const end_ms = performance.now() + 300
      await until('a try that fails', () => performance.now() > end_ms)
      expect(changed).toEqual([])
      broken = false
      await flushed
      expect(changed).toEqual([run.id])
    })
  })
})

test('a thing that changes often is told at most a few times a second, as it is then', async () => {
  const reads: string[][] = []
  const agent_id = newId()
  const to = start({
    agents: async ids => {
      reads.push([...ids])
      return []
    },
  })
  for (let n = 0; n < 20; n++) to.changes.agent({ agent_id, workspace_id: n % 2 === 0 ? workspace_id : null })
  await until('the first event', () => to.told.length === 1)
  const began_ms = performance.now()
  for (let n = 0; n < 20; n++) to.changes.agent({ agent_id, workspace_id })
  await until('the second event', () => to.told.length === 2)
  expect(performance.now() - began_ms).toBeGreaterThan(LIMITS.events_gather_ms / 2)
  expect(reads).toEqual([[agent_id], [agent_id]])
  // It is not there any more.
  expect(to.told[1]).toMatchObject({ topic: 'agents', agent_id, agent: null })
})

test('as long as nobody reads, nothing is read or kept', async () => {
  const to = start({ organizationOf: () => Promise.reject(new Error('nobody reads')) }, false)
  to.changes.deployment({ id: newId(), workspace_id })
  to.changes.agent({ agent_id: newId(), workspace_id: null })
  expect(to.told).toEqual([])
})

test('what cannot be read is told as something to read again', async () => {
  const to = start({ deployments: () => Promise.reject(new Error('the database is away')) })
  to.changes.deployment({ id: newId(), workspace_id })
  await until('the resync', () => to.told.length > 0)
  expect(to.told).toEqual([
    { type: 'resync', topic: 'deployments', workspace_id, organization_id, at: now().toISOString() },
  ])
})

test('an audit entry that is too large for a message comes without its values', async () => {
  const to = start()
  const entry = {
    id: newId(),
    sequence: 1,
    at: now().toISOString(),
    principal: ada.principal,
    action: 'thing.update',
    object_type: 'thing',
    object_id: null,
    organization_id,
    workspace_id,
    door: 'rest',
    ip_address: null,
    result: 'ok',
    before: null,
    after: { text: 'ä'.repeat(LIMITS.events_event_bytes / 2) },
    hash: '',
  } as const
  to.changes.audit(entry)
  await until('the event', () => to.told.length > 0)
  expect(to.told).toMatchObject([{ shortened: true, entry: { id: entry.id, after: null } }])
})
