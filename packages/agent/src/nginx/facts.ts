import type { AgentFacts } from '@nxmesh/contract/channel/messages'
import type { RenderFacts } from '@nxmesh/nginx/objects'
import type { NginxBuild } from '@nxmesh/nginx/output'
import { parseConfig } from '@nxmesh/nginx/parser'
import { sha256Hex } from '../host/files.ts'
import { hostName } from '../host/system.ts'
import type { AdoptionRecord } from '../state/adoption.ts'
import { AGENT_VERSION, RENDERER_VERSION } from '../version.ts'
import { type Carried, makeCarriedReader } from './carried.ts'
import { binaryIdentity, type Installation, readBuild, readConf } from './installation.ts'

/** What rendering depends on, and a short text that changes whenever that changes. */
export interface HostFacts {
  readonly render: RenderFacts
  readonly key: string
}

export interface FactsReader {
  /** Reads `nginx -V` again only when the executable was replaced, and configuration files only when they were changed. */
  read(): Promise<HostFacts>
}

export function makeFactsReader(installation: Installation, adoption: AdoptionRecord): FactsReader {
  let identity = binaryIdentity(installation)
  let build = installation.build
  const carried = makeCarriedReader(installation, adoption)
  let known: { build: NginxBuild; carried: Carried; facts: HostFacts } | null = null
  return {
    async read() {
      const now = binaryIdentity(installation)
      if (now !== identity) {
        build = await readBuild(installation.binary)
        identity = now
      }
      const kept = carried.read()
      if (known?.build !== build || known.carried !== kept)
        known = { build, carried: kept, facts: factsOf(installation, adoption, build, kept) }
      return known.facts
    },
  }
}

function factsOf(
  installation: Installation,
  { hash_floors }: AdoptionRecord,
  build: NginxBuild,
  carried: Carried,
): HostFacts {
  const loaded = loadedModules(readConf(installation))
  const render: RenderFacts = {
    nginx_version: build.version,
    modules: build.modules.filter(one => !build.dynamic_modules.includes(one) || loaded.has(one)),
    listen_address: installation.settings.listen_address,
    carried: { ...carried, hash_floors },
  }
  return { render, key: factsKey(render) }
}

function factsKey(render: RenderFacts): string {
  return sha256Hex(`${RENDERER_VERSION} ${JSON.stringify(render)}`).slice(0, 16)
}

/** Names of the modules that nginx.conf itself loads, in configure's form: `modules/ngx_stream_module.so` is `stream`. */
function loadedModules(text: string): Set<string> {
  const loaded = new Set<string>()
  for (const { name, args } of parseConfig(text).directives) {
    const file = name === 'load_module' ? /ngx_(\w+)\.so$/.exec(args[0]?.value ?? '')?.[1] : undefined
    if (file !== undefined) loaded.add(file).add(file.replace(/_module$/, ''))
  }
  return loaded
}

const CAPABILITIES: Readonly<Record<string, string>> = {
  http_ssl_module: 'ssl',
  http_v2_module: 'http2',
  http_v3_module: 'http3',
  stream: 'stream',
  http_stub_status_module: 'stub_status',
  http_realip_module: 'real_ip',
}

export function agentFacts({ render }: HostFacts): AgentFacts {
  const { carried } = render
  const capabilities = render.modules.flatMap(module => CAPABILITIES[module] ?? [])
  return {
    hostname: hostName(),
    agent_version: AGENT_VERSION,
    renderer_version: RENDERER_VERSION,
    deployment_mode: 'standalone',
    capabilities,
    render: {
      ...render,
      modules: [...render.modules],
      carried: {
        ...carried,
        default_servers: [...carried.default_servers],
        http_directives: [...carried.http_directives],
      },
    },
  }
}
