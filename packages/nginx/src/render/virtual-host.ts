import { RenderError, ValueError } from '../errors.ts'
import type { LocationObject, RenderedFile, RenderFacts, ResourceRef, VirtualHostObject } from '../objects.ts'
import type { TemplateData } from '../template/template.ts'
import { literal, type NginxValue, url, words } from '../template/values.ts'
import { DEFAULT_TEMPLATE } from './default-template.ts'
import * as fields from './fields.ts'
import { field } from './fields.ts'
import { banner, sitePath } from './layout.ts'
import { provedTemplate } from './proved-template.ts'

const defaultTemplate = provedTemplate(DEFAULT_TEMPLATE)

/** @throws RenderError */
export function renderVirtualHost(host: VirtualHostObject, facts: RenderFacts): RenderedFile {
  const resource: ResourceRef = { kind: 'virtual_host', id: host.id }
  if (host.template_id !== 'default')
    throw new RenderError(resource, 'template_id', 'there is no such template')
  const id = field(resource, 'id', () => fields.idText(host.id))
  const path = field(resource, 'name', () => sitePath(host.name, id))
  const version = field(resource, 'version_number', () => fields.versionText(host.version_number))
  refuseDuplicates(resource, host.locations)
  const data: TemplateData = {
    listen: literal(
      field(resource, 'listen_port', () => fields.listenText(facts.listen_address, host.listen_port)),
    ),
    server_names: field(resource, 'server_name', () => words(host.server_names.map(fields.hostName))),
    gzip: host.gzip_enabled === true,
    locations: host.locations.map((location, index) => locationData(resource, location, index, facts)),
  }
  const text = field(resource, null, () => defaultTemplate.render(data))
  return { path, text: banner(resource, version) + text, resource }
}

function locationData(
  resource: ResourceRef,
  location: LocationObject,
  index: number,
  facts: RenderFacts,
): TemplateData {
  const at = <T>(name: string, step: () => T): T => field(resource, `locations.${index}.${name}`, step)
  return {
    path: at('path', () => fields.locationWords(location.path)),
    ...targetData(at, location, facts),
    headers: location.custom_headers.map((header, i) => ({
      name: at(`custom_headers.${i}.name`, () => fields.headerName(header.name)),
      value: at(`custom_headers.${i}.value`, () => fields.argumentText(header.value)),
    })),
  }
}

type At = <T>(name: string, step: () => T) => T

// The template tells the kinds of target apart by what is there.
const NO_TARGET = {
  upstream: null,
  url: null,
  root: null,
  index: null,
  proxied: false,
  keepalive: false,
  tls: false,
} as const

function targetData(
  at: At,
  { path, target }: LocationObject,
  facts: RenderFacts,
): Record<string, TemplateData> {
  switch (target.type) {
    case 'upstream': {
      const upstream = at('upstream_id', () => literal(fields.upstreamName(target.name)))
      return { ...NO_TARGET, upstream, proxied: true, keepalive: target.keepalive === true }
    }
    case 'proxy': {
      const proxied = at('proxy_pass', () => proxyUrl(target.url, path, facts))
      return { ...NO_TARGET, url: proxied, proxied: true, tls: target.url.startsWith('https:') }
    }
    case 'root': {
      const { index } = target
      const files = index === null ? null : at('index', () => fields.indexFiles(index))
      return { ...NO_TARGET, root: at('root', () => fields.rootFolder(target.root)), index: files }
    }
  }
}

/** nginx refuses a path behind the host in a regex location: there is no prefix that it could replace. */
function proxyUrl(target: string, path: string, facts: RenderFacts): NginxValue {
  const value = url(target)
  const has_path = /^https?:\/\/[^/]*\//.test(target)
  if (has_path && fields.splitLocationPath(path).modifier.startsWith('~')) {
    throw new ValueError('must not have a path in a location with a regular expression')
  }
  if (target.startsWith('https:') && facts.modules.length > 0 && !facts.modules.includes('http_ssl_module')) {
    throw new ValueError('https needs nginx with http_ssl_module, which this one lacks')
  }
  return value
}

/** nginx takes `/a` and `^~ /a` for the same location; regular expressions may repeat. */
function refuseDuplicates(resource: ResourceRef, locations: readonly LocationObject[]): void {
  const seen = new Set<string>()
  locations.forEach(({ path }, index) => {
    const { modifier, pattern } = fields.splitLocationPath(path)
    if (modifier.startsWith('~')) return
    const key = `${modifier === '=' ? '=' : ''}${pattern}`
    if (seen.has(key))
      throw new RenderError(resource, `locations.${index}.path`, 'the location is there twice')
    seen.add(key)
  })
}
