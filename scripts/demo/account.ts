import { type Client, makeClient } from '@nxmesh/contract/client'
import { type Memory, writePrivate } from './memory.ts'
import type { DemoSettings } from './settings.ts'

/** Makes the first administrator on the first start, logs in on later ones, and answers a client with the demo's API key. */
export async function openAccount(
  settings: DemoSettings,
  memory: Memory,
  setup_token: string | null,
): Promise<Client> {
  const base_url = settings.plain_url
  if (memory.api_key === undefined) {
    const session = await openSession(makeClient({ base_url }), memory, setup_token)
    const owner = makeClient({ base_url, token: session })
    await rememberPlace(owner, settings, memory)
    const made = await owner.call('api_keys_create', {
      body: { name: 'demo', role: 'owner', organization_id: memory.organization_id ?? null },
    })
    memory.api_key = made.data.key
    writePrivate(settings.paths.memory, memory)
  }
  return makeClient({ base_url, token: memory.api_key })
}

async function openSession(client: Client, memory: Memory, setup_token: string | null): Promise<string> {
  const { email, password } = memory
  const answer = setup_token
    ? await client.call('setup', { body: { setup_token, email, password } })
    : await client.call('login', { body: { email, password } })
  return answer.data.token
}

/** Set-up made a first organization with a workspace; the oldest of each is the demo's. */
async function rememberPlace(client: Client, settings: DemoSettings, memory: Memory): Promise<void> {
  if (memory.workspace_id !== undefined) return
  const [organization] = (await client.call('organizations_list')).data
  const [workspace] = (await client.call('workspaces_list')).data
  if (!organization || !workspace) throw new Error('the master has no organization or no workspace')
  memory.organization_id = organization.id
  memory.workspace_id = workspace.id
  writePrivate(settings.paths.memory, memory)
}
