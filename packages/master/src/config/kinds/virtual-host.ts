import { type AgentSelector, VirtualHost, VirtualHostData, values } from '@nxmesh/contract'
import { type AgentMention, type Claim, defineKind, nameClaim, type Reference } from './kind.ts'

export const virtualHostKind = defineKind<VirtualHostData>({
  kind: 'virtual_host',
  noun: 'virtual host',
  data: VirtualHostData,
  resource: VirtualHost,
  nameOf: data => data.name,
  references: data => data.locations.flatMap(referencesOf),
  claims: data => [nameClaim('virtual_host', 'virtual host', data.name), ...serverNameClaims(data)],
  agents: data => agentsNamed(data.target_agents),
  aliases: () => [],
})

const agentsNamed = (selector: AgentSelector): AgentMention[] =>
  'agent_ids' in selector
    ? selector.agent_ids.map((id, index) => ({ field: `target_agents.agent_ids.${index}`, id }))
    : []

function referencesOf(location: VirtualHostData['locations'][number], index: number): Reference[] {
  if (location.upstream_id !== null) {
    const field = `locations.${index}.upstream_id`
    return [{ type: 'resource', field, kind: 'upstream', id: location.upstream_id }]
  }
  if (location.proxy_pass !== null) {
    const { host, port } = proxyTarget(location.proxy_pass)
    return [{ type: 'host', field: `locations.${index}.proxy_pass`, host, with_port: port }]
  }
  return []
}

/** The host of a normalized `proxy_pass`, and whether it names a port. */
export function proxyTarget(url: string): { host: string; port: boolean } {
  const match = /^https?:\/\/(\[[^\]]*\]|[^/:]+)(:\d+)?/.exec(url)
  return { host: match?.[1] ?? '', port: match?.[2] !== undefined }
}

/** nginx serves a name on a port from the first server block that has it and ignores the others with a warning. */
function serverNameClaims(data: VirtualHostData): Claim[] {
  return values.serverNames(data.server_name).map(name => ({
    key: `listen/${data.listen_port}/${name}`,
    field: 'server_name',
    text: `${name} on port ${data.listen_port}`,
  }))
}
