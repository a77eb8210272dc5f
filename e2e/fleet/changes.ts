import type { AgentSelector } from '@nxmesh/contract'
import { pick } from './chaos.ts'
import type { Fleet, FleetAgent } from './fleet.ts'

/** What this test believes that the master has: what must be served in the end. */
export interface Wanted {
  readonly hosts: Map<string, { server_name: string; target_agents: AgentSelector }>
  readonly labels: Map<string, Record<string, string>>
}

const ENVIRONMENTS = ['red', 'green', 'blue']

/** One random change through the API; only accepted ones are noted. */
export async function changeSomething(
  fleet: Fleet,
  wanted: Wanted,
  number: number,
  random: () => number,
): Promise<void> {
  const kind = wanted.hosts.size < 5 ? 0 : random()
  if (kind < 0.35) return await addHost(fleet, wanted, number, random)
  if (kind < 0.75) return await renameHost(fleet, wanted, number, random)
  if (kind < 0.85) return await relabel(fleet, wanted, random)
  await removeHost(fleet, wanted, random)
}

async function addHost(fleet: Fleet, wanted: Wanted, number: number, random: () => number): Promise<void> {
  const server_name = `host-${number}.test`
  const env = pick(ENVIRONMENTS, random)
  const target_agents: AgentSelector = random() < 0.6 ? { all: true } : { match_labels: { env } }
  const made = await fleet.client.call('virtual_hosts_create', {
    body: {
      workspace_id: fleet.workspace_id,
      name: `host ${number}`,
      server_name,
      listen_port: 80,
      locations: [{ path: '/', root: '/srv' }],
      target_agents,
    },
  })
  wanted.hosts.set(made.data.id, { server_name, target_agents })
}

async function renameHost(fleet: Fleet, wanted: Wanted, number: number, random: () => number): Promise<void> {
  const [id, host] = pick([...wanted.hosts], random)
  const server_name = `renamed-${number}.test`
  await fleet.client.call('virtual_hosts_update', { params: { id }, body: { server_name } })
  wanted.hosts.set(id, { ...host, server_name })
}

async function removeHost(fleet: Fleet, wanted: Wanted, random: () => number): Promise<void> {
  const [id] = pick([...wanted.hosts], random)
  await fleet.client.call('virtual_hosts_delete', { params: { id } })
  wanted.hosts.delete(id)
}

async function relabel(fleet: Fleet, wanted: Wanted, random: () => number): Promise<void> {
  const agent = pick(fleet.agents, random)
  const labels = { env: pick(ENVIRONMENTS, random) }
  await fleet.client.call('agents_update', { params: { id: agent.id }, body: { labels } })
  wanted.labels.set(agent.id, labels)
}

/** The server names that this agent must serve by what was accepted. */
export function namesWanted(wanted: Wanted, agent: FleetAgent): string[] {
  const env = wanted.labels.get(agent.id)?.env
  const chosen = [...wanted.hosts.values()].filter(({ target_agents }) =>
    'match_labels' in target_agents ? target_agents.match_labels?.env === env : true,
  )
  return chosen.map(host => host.server_name).sort()
}

/** The server names in what this agent serves. */
export function namesServed(agent: FleetAgent): string[] {
  const names = [...agent.orders.served()].flatMap(([key, json]) =>
    key.startsWith('virtual_host/') ? (json.match(/(?:host|renamed)-\d+\.test/g) ?? []) : [],
  )
  return [...new Set(names)].sort()
}
