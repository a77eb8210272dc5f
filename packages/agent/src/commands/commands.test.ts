import { afterEach, describe, expect, test } from 'bun:test'
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { AgentPosition } from '@nxmesh/contract/channel/messages'
import type { AgentConfig } from '../config.ts'
import { readMarker } from '../nginx/marker.ts'
import { frame, makeBundle, makeTestAgent, site, type TestAgent } from '../testing/agent.ts'
import { makePrivateNginx } from '../testing/private-nginx.ts'
import { rollback } from './rollback.ts'
import { readStatus } from './status.ts'

const undo: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

const silent = () => undefined

/** An agent that has deployed three generations. */
async function setScene() {
  const nginx = await makePrivateNginx()
  undo.push(() => nginx.close())
  await nginx.start()
  const agent = await makeTestAgent(nginx)
  undo.push(() => agent.close())
  const bundles = ['one', 'two', 'three'].map(header =>
    makeBundle([...frame(nginx.port), site(1, nginx.port, header)]),
  )
  for (const [index, bundle] of bundles.entries()) {
    await agent.prepare(index + 1, bundle)
    expect((await agent.commit(index + 1, bundle)).type).toBe('serving')
  }
  await agent.agent.orders.idle()
  const config: AgentConfig = {
    master_url: null,
    token: null,
    ca_fingerprint: null,
    server_key_pins: null,
    state_dir: agent.state_dir,
    name: null,
    log_level: 'error',
    nginx: nginx.settings,
  }
  const header = async () =>
    (
      await fetch(`http://127.0.0.1:${nginx.port}/`, {
        headers: { host: 's1.example.com', connection: 'close' },
      })
    ).headers.get('x-site')
  return { nginx, agent, config, header }
}

/** Until the agent reports such a position: a rollback is told in steps, the hold first, and each may be seen. */
async function agentTells(agent: TestAgent, isIt: (told: AgentPosition) => boolean): Promise<void> {
  for (;;) if (isIt((await agent.next(0, 'position_changed')).position)) return
}

describe('rollback by hand', () => {
  test('beside a running agent serves the deployment before and puts the agent on hold', async () => {
    const { agent, config, header, nginx } = await setScene()
    const { generation } = await rollback(config, silent)
    expect(generation).toBe(2)
    expect(await header()).toBe('two')
    const { position } = agent.agent.orders
    expect(position()).toMatchObject({ generation: 2, hold: { reason: expect.stringContaining('by hand') } })
    await agentTells(agent, told => isDeepStrictEqual(told, position()))
    const next = makeBundle([...frame(nginx.port), site(1, nginx.port, 'four')])
    expect(await agent.prepare(4, next)).toMatchObject({
      type: 'unable',
      message: expect.stringContaining('on hold'),
    })
    expect(await header()).toBe('two')
  })

  test('ends with the hold: then the agent applies again, and nothing that is older', async () => {
    const { agent, config, header, nginx } = await setScene()
    await rollback(config, silent)
    agent.agent.orders.liftHold()
    await agentTells(agent, told => told.hold === null)
    const next = makeBundle([...frame(nginx.port), site(1, nginx.port, 'four')])
    await agent.prepare(4, next)
    expect((await agent.commit(4, next)).type).toBe('serving')
    expect(await header()).toBe('four')
  })

  test('drops what was prepared, so that it cannot be committed any more', async () => {
    const { agent, config, header, nginx } = await setScene()
    const next = makeBundle([...frame(nginx.port), site(1, nginx.port, 'four')])
    expect((await agent.prepare(4, next)).type).toBe('prepared')
    await rollback(config, silent)
    expect((await agent.commit(4, next)).type).toBe('unable')
    expect(await header()).toBe('two')
  })

  test('goes to a timestamp, and names the kept ones when there is no such', async () => {
    const { agent, config, header } = await setScene()
    const [oldest] = agent.agent.context.journal.read().folders
    await rollback(config, silent, oldest?.folder)
    expect(await header()).toBe('one')
    await expect(rollback(config, silent, '20000101000000')).rejects.toThrow(`kept: ${oldest?.folder}`)
    await expect(rollback(config, silent, '../../etc')).rejects.toThrow('there is no deployment')
  })

  test('works without a running agent, which keeps to it when it starts', async () => {
    const { agent, config, header, nginx } = await setScene()
    await agent.agent.close()
    await rollback(config, silent)
    expect(await header()).toBe('two')
    const again = await makeTestAgent(nginx, { state_dir: agent.state_dir })
    undo.push(() => again.close())
    await again.agent.orders.idle()
    expect(await header()).toBe('two')
    expect(again.agent.orders.position().hold).not.toBeNull()
  })
})

test('status tells what nginx serves now, with and without the agent', async () => {
  const { agent, config, nginx } = await setScene()
  const status = await readStatus(config)
  expect(status).toMatchObject({ agent_running: true, proved: true, nginx: { running: true, adopted: true } })
  expect(status.current).toBe(readlinkSync(join(nginx.folder, 'conf.d/current')))
  expect(status.marker?.generation).toBe(3)
  await agent.agent.close()
  expect((await readStatus(config)).agent_running).toBe(false)
  process.kill(nginx.master()?.pid ?? 0, 'SIGTERM')
  while ((await readMarker(agent.agent.context.adoption.status_port)) !== null);
  expect(await readStatus(config)).toMatchObject({ proved: false, marker: null })
})

test('a second agent on the same state folder is refused', async () => {
  const { agent, nginx } = await setScene()
  await expect(makeTestAgent(nginx, { state_dir: agent.state_dir })).rejects.toThrow('another agent runs')
})
