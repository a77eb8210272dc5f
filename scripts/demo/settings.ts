import { join } from 'node:path'

/** Where one demo lives: its folder, its ports, and the URLs that follow from them. */
export interface DemoSettings {
  readonly dir: string
  readonly tls_port: number
  readonly plain_port: number
  readonly nginx_port: number
  readonly url: string
  readonly plain_url: string
  readonly nginx_url: string
  readonly paths: {
    readonly master_data: string
    readonly agent_state: string
    readonly nginx: string
    readonly www: string
    readonly logs: string
    /** What the demo remembers from start to start, with secrets; 0600. */
    readonly memory: string
    /** There as long as everything serves; 0600. */
    readonly credentials: string
  }
}

const HOST = '127.0.0.1'
const PORT_BASE_DEFAULT = 8000
const PORT_BASE_MIN = 1024
const PORT_BASE_MAX = 65_535 - 443

/** Reads NXMESH_DEMO_DIR (absolute) and NXMESH_DEMO_PORT_BASE. Throws an error that is fit for a person. */
export function demoSettings(env: Readonly<Record<string, string | undefined>>): DemoSettings {
  const dir = env.NXMESH_DEMO_DIR
  if (!dir?.startsWith('/')) throw new Error('NXMESH_DEMO_DIR must be an absolute path; run scripts/start')
  const base = Number(env.NXMESH_DEMO_PORT_BASE ?? PORT_BASE_DEFAULT)
  if (!Number.isInteger(base) || base < PORT_BASE_MIN || base > PORT_BASE_MAX)
    throw new Error(`NXMESH_DEMO_PORT_BASE must be a number from ${PORT_BASE_MIN} to ${PORT_BASE_MAX}`)
  return settingsFor(dir, { tls_port: base + 443, plain_port: base + 80, nginx_port: base + 88 })
}

export type DemoPorts = Pick<DemoSettings, 'tls_port' | 'plain_port' | 'nginx_port'>

export function settingsFor(dir: string, ports: DemoPorts): DemoSettings {
  return {
    dir,
    ...ports,
    url: `https://${HOST}:${ports.tls_port}`,
    plain_url: `http://${HOST}:${ports.plain_port}`,
    nginx_url: `http://${HOST}:${ports.nginx_port}`,
    paths: {
      master_data: join(dir, 'master'),
      agent_state: join(dir, 'agent'),
      nginx: join(dir, 'nginx'),
      www: join(dir, 'www'),
      logs: join(dir, 'logs'),
      memory: join(dir, 'demo.json'),
      credentials: join(dir, 'credentials.json'),
    },
  }
}
