import type { Stack } from './stack.ts'

const AT_ONCE = 8

/** Makes an upstream and virtual hosts that use it; answers the ids of the virtual hosts in their order. */
export async function makeVirtualHosts(
  stack: Stack,
  from: number,
  to: number,
  upstream_id: string,
): Promise<string[]> {
  const ids: string[] = []
  let next = from
  const worker = async () => {
    while (next < to) {
      const n = next++
      ids[n - from] = await makeOne(stack, n, upstream_id)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return ids
}

export async function makeUpstream({ client, workspace_id }: Stack): Promise<string> {
  const body = {
    workspace_id,
    name: 'pool',
    servers: [{ address: '127.0.0.1:9' }, { address: '127.0.0.1:19' }],
  }
  return (await client.call('upstreams_create', { body })).data.id
}

export const headerOf = (value: string) => [{ name: 'X-Bench', value }]

export const locationsOf = (upstream_id: string, root: string, value: string) => [
  { path: '/', root, custom_headers: headerOf(value) },
  { path: '/api/', upstream_id, custom_headers: [] },
  { path: '~* \\.(png|jpg)$', root },
]

async function makeOne(
  { client, workspace_id, settings }: Stack,
  n: number,
  upstream_id: string,
): Promise<string> {
  const { data } = await client.call('virtual_hosts_create', {
    body: {
      workspace_id,
      name: `site ${n}`,
      server_name: `site${n}.example.com, www.site${n}.example.com`,
      listen_port: settings.nginx_port,
      locations: locationsOf(upstream_id, settings.paths.www, 'initial'),
    },
  })
  return data.id
}
