import { afterCommit } from '../database/after-commit.ts'
import type { Database, Tx } from '../database/database.ts'
import type { DeliveryChanges } from './changes.ts'
import { updateDeployment } from './deployment-store.ts'
import { type PositionRow, putPositions } from './position-store.ts'
import type { Run, RunTarget } from './run.ts'
import { putTargets, type TargetRow } from './target-store.ts'

/**
 * Makes what runs in memory durable. What is marked while a transaction runs, and for about as long again after it, goes into
 * the next one together: the first report is written at once, 10,000 at the same time cost a few transactions. Whoever waits
 * in `flushed` ends the gathering. Rows are written as they stand, whole, in one order, so writing them again does no harm.
 */
export interface Recorder {
  run(run: Run): void
  target(run: Run, target: RunTarget): void
  position(row: PositionRow): void
  /** Runs in the next transaction, after the rows. */
  also(work: (tx: Tx) => Promise<void>): void
  /** Resolves when everything that was marked before is durable. It waits for as long as the database is away. */
  flushed(): Promise<void>
  /** No more attempts after a failure, and nobody is kept waiting. */
  stop(): void
}

export interface RecorderDeps {
  readonly db: Database
  /** Asked in the transaction, where nobody else can delete what is about to be written. False: its agent is gone. */
  readonly isKept: (row: PositionRow) => boolean
  /** Called when the database could not be written; it is tried again. */
  readonly onError: (error: unknown) => void
  readonly changed?: DeliveryChanges | undefined
}

const RETRY_MS = 250
/** Reports do not gather for longer: what a kill loses of them, agents say again when they return. */
const GATHER_MAX_MS = 100

interface Marks {
  readonly runs: Set<Run>
  readonly targets: Map<RunTarget, Run>
  readonly positions: Set<PositionRow>
  readonly works: ((tx: Tx) => Promise<void>)[]
  readonly waiting: (() => void)[]
}

const noMarks = (): Marks => ({
  runs: new Set(),
  targets: new Map(),
  positions: new Set(),
  works: [],
  waiting: [],
})

export function makeRecorder({ db, isKept, onError, changed }: RecorderDeps): Recorder {
  let next = noMarks()
  let writing = false
  let stopped = false
  let hurry = () => {}

  async function flushAll(): Promise<void> {
    if (writing) return
    writing = true
    // Everything that is marked in this very moment belongs together.
    await Promise.resolve()
    while (!isEmpty(next)) {
      const marks = next
      next = noMarks()
      const began_ms = performance.now()
      await flushOne(marks)
      for (const done of marks.waiting) done()
      await gather(performance.now() - began_ms)
    }
    writing = false
  }

  /**
   * A commit of SQLite holds the event loop until the disk has it. Were the next one begun at once, it would find the few
   * reports that were read in between, and hundreds of agents would cost hundreds of commits.
   */
  function gather(commit_ms: number): Promise<void> | undefined {
    if (next.waiting.length > 0 || stopped) return
    return new Promise(resolve => {
      const timer = setTimeout(resolve, Math.min(commit_ms, GATHER_MAX_MS))
      hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async function flushOne(marks: Marks): Promise<void> {
    for (;;) {
      try {
        return await db.write(async tx => {
          await write(tx, marks, isKept)
          if (changed) afterCommit(tx, () => tellAll(changed, marks))
        })
      } catch (error) {
        if (stopped) return
        onError(error)
        await new Promise(resolve => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  return {
    run(run) {
      next.runs.add(run)
      void flushAll()
    },
    target(run, target) {
      next.targets.set(target, run)
      void flushAll()
    },
    position(row) {
      next.positions.add(row)
      void flushAll()
    },
    also(work) {
      next.works.push(work)
      void flushAll()
    },
    flushed() {
      return new Promise(resolve => {
        next.waiting.push(resolve)
        hurry()
        void flushAll()
      })
    },
    stop() {
      stopped = true
      hurry()
    },
  }
}

const isEmpty = (marks: Marks) =>
  marks.runs.size + marks.targets.size + marks.positions.size + marks.works.length + marks.waiting.length ===
  0

async function write(tx: Tx, marks: Marks, isKept: RecorderDeps['isKept']): Promise<void> {
  for (const run of marks.runs) {
    if (run.discarded) continue
    const { state, reason, epoch, generation, started_at, decided_at, finished_at, followed_by } = run
    const row = { state, reason, epoch, generation, started_at, decided_at, finished_at, followed_by }
    await updateDeployment(tx, run.id, row)
  }
  const targets = [...marks.targets].filter(([, run]) => !run.discarded)
  if (targets.length > 0)
    await putTargets(
      tx,
      targets.map(([target, run]) => targetRow(run, target)),
    )
  const positions = [...marks.positions].filter(isKept)
  if (positions.length > 0)
    await putPositions(
      tx,
      positions.map(row => ({ ...row })),
    )
  for (const work of marks.works) await work(tx)
}

/** Each thing once, however much of it was written. */
function tellAll(changed: DeliveryChanges, { runs, targets, positions }: Marks): void {
  for (const run of new Set([...runs, ...targets.values()])) changed.deployment(run)
  for (const { agent_id } of positions) changed.position(agent_id)
}

function targetRow(run: Run, target: RunTarget): TargetRow {
  return {
    deployment_id: run.id,
    agent_id: target.agent_id,
    agent_name: target.agent_name,
    state: target.state,
    epoch: run.epoch,
    generation: run.generation,
    bundle_hash: target.bundle_hash,
    tree_hash: target.tree_hash,
    error_json: target.error === null ? null : JSON.stringify(target.error),
    swapped_back: target.swapped_back ? 1 : 0,
    timings_json: JSON.stringify(target.timings_ms),
    ...target.steps,
  }
}
