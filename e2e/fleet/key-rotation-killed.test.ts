import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KEY_FAULT_STEPS as AGENT_STEPS } from '@nxmesh/agent/faults'
import type { KeptKeys } from '@nxmesh/agent/link/session-keys'
import type { AgentKey } from '@nxmesh/contract'
import { KEY_FAULT_STEPS as MASTER_STEPS } from '@nxmesh/master/faults'
import { type AgentUnderTest, type System, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'

/** Real processes, killed with SIGKILL at each step of the rotation of a session key. */
const GRACE = { NXMESH_AGENT_KEYS_GRACE_S: '2' }
const stopAt = (step: string) => ({ NXMESH_FAULTS: '1', NXMESH_TEST_STOP_AT: step })
const deadline_ms = 30_000

let system: System
let agent: AgentUnderTest
beforeAll(async () => {
  system = await startSystem()
  await system.master.restart(GRACE)
  agent = await system.addAgent()
}, 120_000)
afterAll(() => system?.stop(), 60_000)

const isStopped = (pid: number) => / T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
const kept = (): KeptKeys => JSON.parse(readFileSync(join(agent.state_dir, 'identity.json'), 'utf8'))
const keys = async (): Promise<AgentKey[]> =>
  (await system.client.call('agent_keys_list', { params: { id: agent.id } })).data
const withStatus = async (status: AgentKey['status']) => (await keys()).filter(key => key.status === status)
/** Not awaited by all: a master that is stopped meanwhile does not answer. */
const rotate = () => system.client.call('agents_rotate_key', { params: { id: agent.id } }).catch(() => null)

/** The agent is connected, and both ends have the same one key, another than before. */
async function recovered(before: string): Promise<void> {
  await agent.online()
  await until(
    'one primary key and no other, after the grace',
    async () => {
      const live = (await keys()).filter(key => key.status !== 'ended')
      return live.length === 1 && live[0]?.status === 'primary' && live[0].id !== before
    },
    { deadline_ms },
  )
  const isPrimary = async () => (await withStatus('primary')).every(key => key.id === kept().key_id)
  await until('the agent to call the same key its own', isPrimary, { deadline_ms })
  expect(await withStatus('primary')).toHaveLength(1)
  // It lives on this key: also a connection that begins now.
  await agent.restart()
  await agent.online()
  await until('the agent to keep no other key', () => (kept().other_key ?? null) === null, { deadline_ms })
}

test.each(MASTER_STEPS)(
  'a master killed at the step "%s" leaves an agent that comes back, and the rotation is carried to its end',
  async step => {
    const before = kept().key_id
    await system.master.restart({ ...GRACE, ...stopAt(step) })
    await agent.online()
    const asked = rotate()
    const { pid } = system.master.running()
    await until(`the master to stop at ${step}`, () => isStopped(pid), { deadline_ms })
    await system.master.restart(GRACE)
    await asked
    await recovered(before)
  },
  120_000,
)

test.each(AGENT_STEPS)(
  'an agent killed at the step "%s" comes back with a key that the master takes, and the rotation is carried to its end',
  async step => {
    const before = kept().key_id
    await agent.restart(stopAt(step))
    await agent.online()
    await rotate()
    await until(`the agent to stop at ${step}`, () => isStopped(agent.running().pid), { deadline_ms })
    await agent.restart()
    await recovered(before)
  },
  120_000,
)
