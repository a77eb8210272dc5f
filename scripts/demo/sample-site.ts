import type { Client } from '@nxmesh/contract/client'
import { place } from './agent.ts'
import { type Memory, writePrivate } from './memory.ts'
import type { DemoSettings } from './settings.ts'
import { until } from './until.ts'

const SERVED_DEADLINE_MS = 30_000

/** Makes the sample site through the API, once: whoever deletes it does not get it back. Resolves when nginx answers. */
export async function serveSampleSite(client: Client, settings: DemoSettings, memory: Memory): Promise<void> {
  if (!memory.sample_site_made) {
    await makeSite(client, settings, memory)
    memory.sample_site_made = true
    writePrivate(settings.paths.memory, memory)
  }
  await until(`an answer from nginx at ${settings.nginx_url}`, SERVED_DEADLINE_MS, async () => {
    const response = await fetch(settings.nginx_url, { headers: { connection: 'close' } })
    await response.body?.cancel()
    return response
  })
}

async function makeSite(client: Client, settings: DemoSettings, memory: Memory): Promise<void> {
  const workspace_id = place(memory)
  const there = await client.call('virtual_hosts_list', { query: { workspace_id } })
  if (there.data.some(one => one.name === 'welcome')) return
  const { meta } = await client.call('virtual_hosts_create', {
    query: { wait: 'applied' },
    body: {
      workspace_id,
      name: 'welcome',
      server_name: 'localhost, 127.0.0.1',
      listen_port: settings.nginx_port,
      locations: [{ path: '/', root: settings.paths.www, index: 'index.html' }],
      change_summary: 'The sample site of npm start',
    },
  })
  const { deployment } = meta
  if (deployment?.state === 'applied') return
  const reason = deployment?.targets.find(one => one.error)?.error?.message ?? deployment?.reason
  throw new Error(
    `the sample site was not applied: ${deployment?.state ?? 'no deployment'}, ${reason ?? 'no reason given'}`,
  )
}
