import { beforeAll, describe, expect, test } from 'bun:test'
import { proveKey } from '@nxmesh/contract/channel/signing'
import { callerWith } from '../access/testing.ts'
import { TEST_FACTS, TEST_POSITION } from '../channel/testing.ts'
import { forEachEngine } from '../database/testing.ts'
import { AGENT_AREA_LIMITS } from './agents-limits.ts'
import {
  ada,
  codeOf,
  create,
  GRACE_MS,
  HOST,
  MAX_AGE_MS,
  ONCE,
  type OpenedAgents,
  openAgents,
} from './testing.ts'

const PAGE = { page: 1, per_page: 50 }

/** An agent of the area, which a test lets connect and answer. */
async function join(on: OpenedAgents) {
  const { token } = await on.tokens.forWorkspace(ada, on.workspace_id, ONCE)
  const { agent_id, key_id } = await on.registration.register(ada, { ...HOST, token })
  const server_nonce = `nonce of ${agent_id}`
  const said = () => on.sent.filter(one => one.agent_id === agent_id).map(one => one.message)
  return {
    agent_id,
    key_id,
    said,
    async connect(with_key = key_id, protocol = 2) {
      on.online.add(agent_id)
      on.links.set(agent_id, { protocol, key_id: with_key, server_nonce })
      await on.area.listener.connected(agent_id, TEST_FACTS, TEST_POSITION, '192.0.2.9')
    },
    leave() {
      on.online.delete(agent_id)
      on.links.delete(agent_id)
    },
    /** The newest key that was offered. */
    offered() {
      const offer = said().findLast(one => one.type === 'key_offer')
      if (offer?.type !== 'key_offer') throw new Error('no key was offered')
      return offer
    },
    async accept(wrong: { key?: Buffer; nonce?: string } = {}) {
      const { key_id: new_id, session_key } = this.offered()
      const key = wrong.key ?? Buffer.from(session_key, 'base64url')
      const proof = proveKey(key, { agent_id, key_id: new_id, server_nonce: wrong.nonce ?? server_nonce })
      await on.area.listener.message(agent_id, { type: 'key_accepted', key_id: new_id, proof })
      return new_id
    },
    async statuses() {
      const { items } = await on.key_doors.list(ada, agent_id, PAGE)
      return Object.fromEntries(items.map(one => [one.id, one.status]))
    },
    state: async (id: string) => (await on.ring.find(agent_id, id)).state,
  }
}

forEachEngine((_engine, openDatabase) => {
  let on: OpenedAgents
  beforeAll(async () => {
    on = await openAgents(await openDatabase())
  })

  describe('a new session key', () => {
    test('is offered, and counts only once the agent has proved that it keeps it', async () => {
      const agent = await join(on)
      await agent.connect()
      const { key_id } = await on.key_doors.rotate(ada, agent.agent_id)
      expect(agent.offered().key_id).toBe(key_id)
      expect(await agent.statuses()).toEqual({ [agent.key_id]: 'primary', [key_id]: 'candidate' })
      await agent.accept()
      expect(agent.said().at(-1)).toEqual({ type: 'key_promoted', key_id })
      expect(await agent.statuses()).toEqual({ [agent.key_id]: 'secondary', [key_id]: 'primary' })
      expect(await agent.state(agent.key_id)).toBe('live')
    })

    test('leaves the old one its grace, and not a moment more', async () => {
      const agent = await join(on)
      await agent.connect()
      await on.key_doors.rotate(ada, agent.agent_id)
      const key_id = await agent.accept()
      on.clock.ms += GRACE_MS - 1
      expect(await agent.state(agent.key_id)).toBe('live')
      on.clock.ms += 1
      // Whether a sweep has come by or not, and though it is remembered.
      expect(await agent.state(agent.key_id)).toBe('key_not_live')
      await on.key_sweep.sweep()
      expect(await agent.statuses()).toEqual({ [agent.key_id]: 'ended', [key_id]: 'primary' })
      const row = await on.db.read
        .selectFrom('agent_keys')
        .selectAll()
        .where('id', '=', agent.key_id)
        .execute()
      expect(row).toMatchObject([{ sealed_key: '' }])
    })

    test('is not taken for proved by another key, over another connection, or for another agent', async () => {
      const [agent, other] = [await join(on), await join(on)]
      await agent.connect()
      await other.connect()
      await on.key_doors.rotate(ada, agent.agent_id)
      await on.key_doors.rotate(ada, other.agent_id)
      await agent.accept({ key: Buffer.alloc(32) })
      await agent.accept({ nonce: 'of a connection before' })
      const { key_id, session_key } = other.offered()
      const what = { agent_id: agent.agent_id, key_id, server_nonce: `nonce of ${agent.agent_id}` }
      const proof = proveKey(Buffer.from(session_key, 'base64url'), what)
      await on.area.listener.message(agent.agent_id, { type: 'key_accepted', key_id, proof })
      expect(Object.values(await agent.statuses()).sort()).toEqual(['candidate', 'primary'])
      expect(Object.values(await other.statuses()).sort()).toEqual(['candidate', 'primary'])
    })

    test('that was not answered is offered again at the next connection, the same one', async () => {
      const agent = await join(on)
      await agent.connect()
      const { key_id } = await on.key_doors.rotate(ada, agent.agent_id)
      agent.leave()
      on.sent.length = 0
      await agent.connect()
      expect(agent.said()).toMatchObject([
        { type: 'key_promoted', key_id: agent.key_id },
        { type: 'key_offer', key_id },
      ])
    })

    test('that a connection is signed with is proved by that', async () => {
      const agent = await join(on)
      await agent.connect()
      const { key_id } = await on.key_doors.rotate(ada, agent.agent_id)
      agent.leave()
      expect(await agent.state(key_id)).toBe('live')
      await agent.connect(key_id)
      expect(await agent.statuses()).toEqual({ [agent.key_id]: 'secondary', [key_id]: 'primary' })
    })

    test('that nobody proves is dropped after a time; the old one goes on, and a later one can be had', async () => {
      const agent = await join(on)
      await agent.connect()
      const { key_id } = await on.key_doors.rotate(ada, agent.agent_id)
      on.clock.ms += AGENT_AREA_LIMITS.key_candidate_ms
      expect(await agent.state(key_id)).toBe('key_not_live')
      expect(await agent.state(agent.key_id)).toBe('live')
      await agent.accept()
      expect((await agent.statuses())[agent.key_id]).toBe('primary')
      expect((await on.key_doors.rotate(ada, agent.agent_id)).key_id).not.toBe(key_id)
      await agent.accept()
      expect((await agent.statuses())[agent.key_id]).toBe('secondary')
    })

    test('is told to an agent that comes with its old one, and not given to it again', async () => {
      const agent = await join(on)
      await agent.connect()
      await on.key_doors.rotate(ada, agent.agent_id)
      const key_id = await agent.accept()
      on.sent.length = 0
      await agent.connect(agent.key_id)
      expect(agent.said()).toEqual([{ type: 'key_promoted', key_id }])
    })

    test('never reaches an agent of protocol version 1', async () => {
      const agent = await join(on)
      await agent.connect(agent.key_id, 1)
      expect(await codeOf(on.key_doors.rotate(ada, agent.agent_id))).toBe('CONFLICT')
      agent.leave()
      await on.key_doors.rotate(ada, agent.agent_id)
      await agent.connect(agent.key_id, 1)
      on.clock.ms += MAX_AGE_MS
      await on.key_sweep.sweep()
      expect(agent.said()).toEqual([])
    })
  })

  test('aged keys are replaced, a bounded number of agents at a time, and those that are away are no hindrance', async () => {
    const other = await openAgents(await openDatabase())
    const count = AGENT_AREA_LIMITS.key_offers_a_sweep + 20
    const agents = []
    for (let n = 0; n < count; n++) agents.push(await join(other))
    const [away, ...here] = agents
    for (const agent of here) await agent.connect()
    const offers = () => other.sent.filter(one => one.message.type === 'key_offer').length
    other.clock.ms += MAX_AGE_MS - 1
    await other.key_sweep.sweep()
    expect(offers()).toBe(0)
    other.clock.ms += 1
    await other.key_sweep.sweep()
    expect(offers()).toBe(AGENT_AREA_LIMITS.key_offers_a_sweep)
    await other.key_sweep.sweep()
    expect(offers()).toBe(here.length)
    expect(away?.said()).toEqual([])
    for (const agent of here) await agent.accept()
    const rotated = await other.auditRows('agent.key_rotate')
    expect(rotated).toHaveLength(here.length)
    expect(rotated[0]).toMatchObject({ principal_type: 'agent', result: 'ok', door: 'channel' })
  })

  test('of two that are promoted at once one is primary: the database lets an agent have no second one', async () => {
    const agent = await join(on)
    await agent.connect()
    await on.key_doors.rotate(ada, agent.agent_id)
    await Promise.all([agent.accept(), agent.accept(), agent.connect(agent.offered().key_id)])
    expect(Object.values(await agent.statuses()).sort()).toEqual(['primary', 'secondary'])
    const second = { status: 'primary', id: crypto.randomUUID(), agent_id: agent.agent_id, sealed_key: '' }
    const row = { ...second, created_at: '', ends_at: null, ended_at: null }
    expect(await codeOf(on.db.write(tx => tx.insertInto('agent_keys').values(row).execute()))).not.toBe('ok')
  })

  describe('revocation', () => {
    test('ends every key, the offered one too, cuts the connection and lets no rotation begin', async () => {
      const agent = await join(on)
      await agent.connect()
      const { key_id } = await on.key_doors.rotate(ada, agent.agent_id)
      await on.key_doors.revoke(ada, agent.agent_id)
      expect(on.cuts).toContain(agent.agent_id)
      await agent.accept()
      expect(await agent.statuses()).toEqual({ [agent.key_id]: 'ended', [key_id]: 'ended' })
      for (const id of [agent.key_id, key_id]) expect(await agent.state(id)).toBe('key_not_live')
      expect(await codeOf(on.key_doors.rotate(ada, agent.agent_id))).toBe('CONFLICT')
      const [row] = (await on.auditRows('agent.revoke_keys')).filter(one => one.object_id === agent.agent_id)
      expect(row).toMatchObject({ principal_id: ada.principal.id, result: 'ok' })
    })

    test('is undone by a registration with a token of the agent, and by nothing else', async () => {
      const agent = await join(on)
      await on.key_doors.revoke(ada, agent.agent_id)
      const { token } = await on.tokens.forAgent(ada, agent.agent_id, ONCE)
      const again = await on.registration.register(ada, { ...HOST, token })
      expect(again.agent_id).toBe(agent.agent_id)
      expect(await agent.state(again.key_id)).toBe('live')
    })

    test('and rotation are for those who may change agents; keys are seen by those who may see them', async () => {
      const { agent_id } = await join(on)
      const [reader, stranger] = [callerWith(['agent:read']), callerWith([])]
      expect(await codeOf(on.key_doors.rotate(reader, agent_id))).toBe('FORBIDDEN')
      expect(await codeOf(on.key_doors.revoke(reader, agent_id))).toBe('FORBIDDEN')
      expect(await codeOf(on.key_doors.list(reader, agent_id, PAGE))).toBe('ok')
      for (const door of ['rotate', 'revoke'] as const)
        expect(await codeOf(on.key_doors[door](stranger, agent_id))).toBe('NOT_FOUND')
      expect(await codeOf(on.key_doors.list(stranger, agent_id, PAGE))).toBe('NOT_FOUND')
    })

    test('of an agent that has no key yet changes nothing, and it has none to rotate', async () => {
      const { id } = await create(on, 'pending')
      expect(await codeOf(on.key_doors.rotate(ada, id))).toBe('CONFLICT')
      expect(await codeOf(on.key_doors.revoke(ada, id))).toBe('ok')
    })
  })
})
