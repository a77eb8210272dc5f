import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Database } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import { newId } from '../ids.ts'
import { makePositions } from './positions.ts'
import { makeRecorder } from './recorder.ts'

// The first to ask for PostgreSQL waits for its start.
setDefaultTimeout(60_000)

const COMMIT_MS = 20
/** Holds the event loop as a commit of SQLite does. */
function holdUp(duration_ms: number): void {
  const end_ms = performance.now() + duration_ms
  while (performance.now() < end_ms);
}
const nextTurn = () => new Promise(resolve => setTimeout(resolve, 1))

forEachEngine((_engine, open) => {
  const start = async () => {
    const db = await open()
    const writes = { count: 0 }
    const slow: Database = {
      ...db,
      async write(work) {
        writes.count++
        const done = await db.write(work)
        holdUp(COMMIT_MS)
        return done
      },
    }
    const errors: unknown[] = []
    const positions = makePositions()
    const isKept = (row: { agent_id: string }) => positions.has(row.agent_id)
    const recorder = makeRecorder({ db: slow, isKept, onError: error => errors.push(error) })
    return { db, writes, errors, positions, recorder }
  }

  describe('reports of agents', () => {
    test('that come one after the other gather while the disk is busy', async () => {
      const { db, writes, recorder, errors, positions } = await start()
      const ids = Array.from({ length: 60 }, newId)
      for (const id of ids) {
        recorder.position(positions.of(id))
        await nextTurn()
      }
      await recorder.flushed()
      // Without the gathering each turn of the event loop ends in a commit of its own.
      expect(writes.count).toBeLessThan(20)
      expect((await db.read.selectFrom('agent_positions').select('agent_id').execute()).length).toBe(
        ids.length,
      )
      expect(errors).toEqual([])
    })

    test('are written at once when somebody waits for them', async () => {
      const { writes, recorder, positions } = await start()
      recorder.position(positions.of(newId()))
      await recorder.flushed()
      expect(writes.count).toBe(1)
      recorder.position(positions.of(newId()))
      const done = recorder.flushed()
      // Only what is ready to run, no timer: the transaction has begun.
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      expect(writes.count).toBe(2)
      await done
    })
  })
})
