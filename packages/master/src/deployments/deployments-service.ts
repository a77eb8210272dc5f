import {
  type Agent,
  ApiError,
  DEPLOYMENT_ENDS,
  type Deployment,
  type DeploymentState,
  type DeploymentSummary,
  type TargetState,
} from '@nxmesh/contract'
import type { Access, Caller } from '../access/caller.ts'
import type { ChannelListener } from '../channel/channel.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Tx } from '../database/database.ts'
import type { Slice } from '../database/slice.ts'
import type { TenantContents } from '../tenancy/tenancy.ts'
import { deploymentContents } from './contents.ts'
import {
  type DeploymentRow,
  deploymentOf,
  deploymentsByIds,
  findDeployment,
  listDeployments,
} from './deployment-store.ts'
import type { Deployments } from './deployments.ts'
import type { DeliveryTimes, EngineDeps } from './engine.ts'
import { queueDeployment } from './follow-up.ts'
import { DELIVERY_TIMES, loadEngine, makeEngine, type Waiters } from './make-engine.ts'
import { deletePositions } from './position-store.ts'
import { configStateOf } from './positions.ts'
import { carriedOf } from './release-store.ts'
import { makeRelease } from './releases.ts'
import { connected, disconnected, message } from './reports.ts'
import { resume } from './resume.ts'
import { countTargetStates, countTargets, targetOf, targetsOf } from './target-store.ts'

export interface DeploymentsDeps extends EngineDeps {
  readonly access: Access
  readonly times?: DeliveryTimes
}

export interface DeploymentsService extends Deployments {
  list(
    caller: Caller,
    workspace_id: string | undefined,
    slice: Slice,
  ): Promise<{ items: DeploymentSummary[]; total: number }>
  get(caller: Caller, id: string): Promise<Deployment>
  /** As the list shows them; ids of nothing are left out. Asks nobody: whoever shows them does. */
  read(ids: readonly string[]): Promise<readonly DeploymentNow[]>
  /** What agents shall serve and what they proved to serve; agents that never had a deployment are absent. */
  positions(agent_ids: readonly string[]): Promise<ReadonlyMap<string, Agent['config']>>
  /** Plans the last decided release again for this agent. */
  labelsChanged(agent_id: string): Promise<void>
  /** In the transaction that deletes agents: their positions go with it. */
  forget(tx: Tx, agent_ids: readonly string[]): Promise<void>
  readonly contents: TenantContents
  readonly listener: ChannelListener
  /** Carries on after a restart; before agents can connect. */
  start(): Promise<void>
  /** What runs is left as it is on record; the next start carries on. */
  stop(): Promise<void>
}

export interface DeploymentNow {
  readonly deployment: DeploymentSummary
  /** How many of its targets are in each state. */
  readonly target_states: Partial<Record<TargetState, number>>
}

export function makeDeployments(deps: DeploymentsDeps): DeploymentsService {
  const { db, access } = deps
  const waiters: Waiters = new Map()
  const engine = makeEngine(deps, deps.times ?? DELIVERY_TIMES, waiters)

  async function laneOf(agent_id: string) {
    const workspace_id = await deps.agents.workspaceOf(agent_id)
    return workspace_id === null ? null : engine.lane(workspace_id)
  }

  async function readable(caller: Caller, id: string): Promise<DeploymentRow> {
    const row = await findDeployment(db.read, id)
    if (!row) throw noDeployment()
    const { workspace_id } = row
    await access.require(caller, 'config:read', { type: 'workspace', workspace_id }, noDeployment)
    return row
  }

  async function whole(row: DeploymentRow): Promise<Deployment> {
    const carried = await carriedOf(db.read, row.workspace_id, row.release_number)
    const targets = await targetsOf(db.read, row.id)
    return { ...deploymentOf(row, carried), targets: targets.map(targetOf) }
  }

  async function summariesOf(
    rows: readonly DeploymentRow[],
    targets: (id: string) => number,
  ): Promise<DeploymentSummary[]> {
    const summaries: DeploymentSummary[] = []
    for (const row of rows) {
      const carried = await carriedOf(db.read, row.workspace_id, row.release_number)
      summaries.push({ ...deploymentOf(row, carried), target_count: targets(row.id) })
    }
    return summaries
  }

  /** Until it has ended, or until the time is over; then it is read again. */
  async function waitOnce(id: string, timeout_ms: number): Promise<void> {
    let wake = () => {}
    const woken = new Promise<void>(resolve => {
      wake = resolve
    })
    const waiting = waiters.get(id) ?? new Set()
    waiters.set(id, waiting.add(wake))
    const timer = setTimeout(wake, Math.max(0, timeout_ms))
    // It may have ended before the waiter was in its place.
    const row = await findDeployment(db.read, id)
    if (!row || hasEnded(row)) wake()
    await woken
    clearTimeout(timer)
    waiting.delete(wake)
    if (waiting.size === 0 && waiters.get(id) === waiting) waiters.delete(id)
  }

  return {
    async release(tx, caller, workspace_id, change) {
      if (!(await access.allows(caller, 'config:deploy', { type: 'workspace', workspace_id }))) return null
      const workspace = await deps.tenancy.lockWorkspace(tx, workspace_id)
      if (workspace.deploy_mode !== 'automatic') return null
      const release = await makeRelease(
        { ...deps, ...deps.tenancy },
        tx,
        workspace_id,
        caller.principal,
        change,
      )
      const made = await queueDeployment(deps, tx, workspace_id, release, 'change', caller.principal)
      return { deployment_id: made.id }
    },
    wake(workspace_id) {
      engine.pump(engine.lane(workspace_id))
    },
    async waitFor(caller, deployment_id, timeout_ms) {
      const until_ms = performance.now() + timeout_ms
      let row = await readable(caller, deployment_id)
      for (;;) {
        const left_ms = until_ms - performance.now()
        if (!hasEnded(row) && left_ms > 0) await waitOnce(row.id, left_ms)
        row = await readable(caller, row.id)
        // Another's refusal is an answer to those whose change was refused with it; theirs alone would have been redirected.
        const refused = row.state === 'rejected' && row.id !== deployment_id
        if (!hasEnded(row) || row.followed_by === null || refused) return await whole(row)
        row = await readable(caller, row.followed_by)
      }
    },
    async list(caller, workspace_id, slice) {
      const workspace_ids = await access.workspaces(caller, 'config:read', workspace_id)
      const { items, total } = await listDeployments(db.read, workspace_ids, slice)
      const counts = await countTargets(
        db.read,
        items.map(row => row.id),
      )
      return { items: await summariesOf(items, id => counts.get(id) ?? 0), total }
    },
    get: async (caller, id) => await whole(await readable(caller, id)),
    async read(ids) {
      const rows = await deploymentsByIds(db.read, ids)
      const states = await countTargetStates(db.read, ids)
      const all = (id: string) => Object.values(states.get(id) ?? {}).reduce((sum, one) => sum + one, 0)
      const summaries = await summariesOf(rows, all)
      return summaries.map(deployment => ({ deployment, target_states: states.get(deployment.id) ?? {} }))
    },
    async positions(agent_ids) {
      const known = agent_ids.filter(id => engine.positions.has(id))
      return new Map(known.map(id => [id, configStateOf(engine.positions.of(id))]))
    },
    async labelsChanged(agent_id) {
      const lane = await laneOf(agent_id)
      if (lane) engine.consider(lane, agent_id, 'labels_changed')
    },
    async forget(tx, agent_ids) {
      await deletePositions(tx, agent_ids)
      afterCommit(tx, () => {
        for (const agent_id of agent_ids) {
          engine.positions.forget(agent_id)
          engine.left_open.delete(agent_id)
          engine.joined.delete(agent_id)
        }
      })
    },
    contents: deploymentContents(engine),
    listener: {
      async connected(agent_id, _facts, position) {
        const lane = await laneOf(agent_id)
        if (lane) await connected(engine, lane, agent_id, position)
      },
      async message(agent_id, said) {
        const lane = await laneOf(agent_id)
        if (lane) await message(engine, lane, agent_id, said)
      },
      async disconnected(agent_id) {
        disconnected(engine, agent_id)
      },
    },
    async start() {
      await loadEngine(engine)
      await resume(engine)
    },
    async stop() {
      engine.stopped = true
      engine.recorder.stop()
      await engine.recorder.flushed()
    },
  }
}

const noDeployment = () => new ApiError('NOT_FOUND', 'There is no such deployment, or you may not see it.')

const hasEnded = (row: DeploymentRow) => DEPLOYMENT_ENDS.has(row.state as DeploymentState)
