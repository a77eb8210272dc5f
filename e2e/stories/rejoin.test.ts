import { afterAll, beforeAll, expect, test } from 'bun:test'
import { ask } from '../support/request.ts'
import { type AgentUnderTest, type System, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'

let system: System
let agent: AgentUnderTest

beforeAll(async () => {
  system = await startSystem()
  agent = await system.addAgent()
  for (const name of ['one', 'two']) await makeSite(system.workspace_id, name)
}, 120_000)

afterAll(async () => {
  await system?.stop()
}, 60_000)

async function makeSite(workspace_id: string, name: string) {
  const locations = [
    { path: '/', proxy_pass: `http://127.0.0.1:9`, custom_headers: [{ name: 'X-Site', value: name }] },
  ]
  const made = await system.client.call('virtual_hosts_create', {
    query: { wait: 'applied', timeout_s: '60' },
    body: {
      workspace_id,
      name,
      server_name: `${name}.example.com`,
      listen_port: agent.nginx.port,
      locations,
    },
  })
  return made.meta.deployment
}
const served = async (name: string) =>
  (await ask({ port: agent.nginx.port, host: `${name}.example.com` })).headers['x-site']
const tokenOf = async () =>
  (await system.client.call('agent_tokens_create', { params: { id: agent.id }, body: {} })).data.token

test('an agent whose keys were revoked is told what to do, and comes back as itself by rejoin', async () => {
  await system.client.call('agents_revoke_keys', { params: { id: agent.id } })
  await until('the advice in its log', () => agent.running().output().includes('nxmesh-agent rejoin'))
  const token = await tokenOf()

  const again = await agent.command('join', '--token', token)
  expect(again).toMatchObject({ code: 0, output: expect.stringContaining('the token was not used') })
  const beside = await agent.command('rejoin', '--token', token)
  expect(beside).toMatchObject({ code: 1, output: expect.stringContaining('stop it first') })

  await agent.running().stop()
  const wrong = await agent.command('rejoin', '--token', `nxb_${'x'.repeat(43)}`)
  expect(wrong.output).toContain('The bootstrap token is unknown')
  const rejoined = await agent.command('rejoin', '--token', token)
  expect(rejoined).toMatchObject({ code: 0, output: expect.stringContaining(`(${agent.id})`) })
  await agent.restart()
  await agent.online()
  expect(await served('two')).toBe('two')
  expect(await makeSite(system.workspace_id, 'three')).toMatchObject({ state: 'applied' })
}, 120_000)

test('a host that moves to another workspace serves what stands there, and nothing of the old one', async () => {
  const { organization_id } = system
  const body = { organization_id, name: 'Other', slug: 'other' }
  const { id: workspace_id } = (await system.client.call('workspaces_create', { body })).data
  const { token } = (
    await system.client.call('workspace_tokens_create', { params: { id: workspace_id }, body: {} })
  ).data
  await agent.running().stop()
  expect(await agent.command('rejoin', '--token', token)).toMatchObject({ code: 0 })
  expect(await served('one')).toBe('one')
  await agent.restart()
  await until('the agent of the other workspace', async () => {
    const { data } = await system.client.call('agents_list', { query: { workspace_id } })
    return data[0]?.state === 'online'
  })
  expect(await makeSite(workspace_id, 'moved')).toMatchObject({ state: 'applied' })
  expect(await served('moved')).toBe('moved')
  expect(await served('one')).not.toBe('one')
}, 120_000)
