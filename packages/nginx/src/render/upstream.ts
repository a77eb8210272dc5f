import { RenderError, ValueError } from '../errors.ts'
import type {
  RenderedFile,
  RenderFacts,
  ResourceRef,
  UpstreamObject,
  UpstreamServerObject,
} from '../objects.ts'
import type { TemplateData } from '../template/template.ts'
import { literal, type NginxValue, number } from '../template/values.ts'
import { field, idText, serverAddress, upstreamName, versionText } from './fields.ts'
import { banner, upstreamPath } from './layout.ts'
import { provedTemplate } from './proved-template.ts'
import { UPSTREAM_TEMPLATE } from './upstream-template.ts'
import { versionAtLeast } from './version.ts'

const upstreamTemplate = provedTemplate(UPSTREAM_TEMPLATE)

/** `keepalive_timeout` of an upstream exists since then (ngx_http_upstream_module). */
const KEEPALIVE_TIMEOUT_SINCE = '1.15.3'

/** @throws RenderError */
export function renderUpstream(upstream: UpstreamObject, facts: RenderFacts): RenderedFile {
  const resource: ResourceRef = { kind: 'upstream', id: upstream.id }
  const id = field(resource, 'id', () => idText(upstream.id))
  const version = field(resource, 'version_number', () => versionText(upstream.version_number))
  const name = field(resource, 'name', () => upstreamName(upstream.name))
  checkServers(resource, upstream)
  const data: TemplateData = {
    name: literal(name),
    least_connections: upstream.algorithm === 'least_connections',
    ip_hash: upstream.algorithm === 'ip_hash',
    servers: upstream.servers.map((server, index) => serverData(resource, server, index)),
    ...keepaliveData(resource, upstream, facts),
  }
  const text = field(resource, null, () => upstreamTemplate.render(data))
  return { path: upstreamPath(name), text: banner({ kind: 'upstream', id }, version) + text, resource }
}

const ALGORITHMS = new Set(['round_robin', 'weighted_round_robin', 'least_connections', 'ip_hash'])

function checkServers(resource: ResourceRef, { algorithm, servers }: UpstreamObject): void {
  if (!ALGORITHMS.has(algorithm)) throw new RenderError(resource, 'algorithm', 'is not a known algorithm')
  if (!servers.some(server => !server.backup)) {
    throw new RenderError(resource, 'servers', 'nginx needs at least one server that is not a backup')
  }
  const backup = servers.findIndex(server => server.backup)
  if (algorithm === 'ip_hash' && backup >= 0) {
    throw new RenderError(resource, `servers.${backup}.backup`, 'backup servers cannot be used with ip_hash')
  }
}

function serverData(resource: ResourceRef, server: UpstreamServerObject, index: number): TemplateData {
  const at = <T>(name: string, step: () => T): T => field(resource, `servers.${index}.${name}`, step)
  return {
    address: at('address', () => serverAddress(server.address)),
    weight: at('weight', () => positive(server.weight)),
    max_fails: at('max_fails', () => number(server.max_fails)),
    fail_timeout: at('fail_timeout', () => number(server.fail_timeout)),
    backup: server.backup === true,
    down: server.down === true,
  }
}

function keepaliveData(
  resource: ResourceRef,
  upstream: UpstreamObject,
  facts: RenderFacts,
): Record<string, TemplateData> {
  const { keepalive_connections: connections, keepalive_timeout: timeout } = upstream
  if (connections === null) return { keepalive: null, keepalive_timeout: null }
  const keepalive = field(resource, 'keepalive_connections', () => positive(connections))
  if (timeout === null) return { keepalive, keepalive_timeout: null }
  if (!versionAtLeast(facts.nginx_version, KEEPALIVE_TIMEOUT_SINCE)) {
    const message = `needs nginx ${KEEPALIVE_TIMEOUT_SINCE}, this one is ${facts.nginx_version}`
    throw new RenderError(resource, 'keepalive_timeout', message)
  }
  return { keepalive, keepalive_timeout: field(resource, 'keepalive_timeout', () => positive(timeout)) }
}

function positive(value: number): NginxValue {
  if (value === 0) throw new ValueError('must be 1 or more')
  return number(value)
}
