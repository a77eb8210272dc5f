import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@nxmesh/contract/client'
import { type Memory, writePrivate } from './memory.ts'
import type { DemoSettings } from './settings.ts'
import { until } from './until.ts'

const ONLINE_DEADLINE_MS = 60_000

/** Writes the agent's configuration, with a fresh token as long as it has no identity. Answers the file's path. */
export async function prepareAgent(
  client: Client,
  settings: DemoSettings,
  memory: Memory,
  ca_fingerprint: string,
): Promise<string> {
  const { paths } = settings
  if (memory.agent_id === undefined) {
    const made = await client.call('agents_create', { body: { workspace_id: place(memory), name: 'demo' } })
    memory.agent_id = made.data.id
    writePrivate(paths.memory, memory)
  }
  const token = existsSync(join(paths.agent_state, 'identity.json'))
    ? null
    : await makeToken(client, memory.agent_id)
  const file = join(settings.dir, 'agent.yaml')
  // JSON is YAML, and quotes every path right.
  writeFileSync(file, `${JSON.stringify(agentConfig(settings, ca_fingerprint, token), null, 2)}\n`, {
    mode: 0o600,
  })
  return file
}

async function makeToken(client: Client, id: string): Promise<string> {
  return (await client.call('agent_tokens_create', { params: { id }, body: {} })).data.token
}

const agentConfig = (settings: DemoSettings, ca_fingerprint: string, token: string | null) => ({
  master_url: settings.url,
  ca_fingerprint,
  ...(token ? { token } : {}),
  state_dir: settings.paths.agent_state,
  nginx: {
    prefix: settings.paths.nginx,
    conf_path: join(settings.paths.nginx, 'nginx.conf'),
    conf_d_path: join(settings.paths.nginx, 'conf.d'),
    listen_address: '127.0.0.1',
    allowed_roots: [settings.paths.www, '/srv', '/var/www', '/usr/share/nginx'],
  },
})

/** Resolves when the master sees the agent. */
export async function agentIsOnline(client: Client, memory: Memory): Promise<void> {
  const id = memory.agent_id ?? ''
  await until('the agent’s connection to the master', ONLINE_DEADLINE_MS, async () => {
    const { data } = await client.call('agents_get', { params: { id } })
    return data.state === 'online' || data.state === 'degraded' ? data : null
  })
}

export function place(memory: Memory): string {
  if (memory.workspace_id === undefined) throw new Error('the demo’s workspace is not known')
  return memory.workspace_id
}
