import { join } from 'node:path'
import { makeClient } from '@nxmesh/contract/client'
import { loadConfig, startMaster } from '@nxmesh/master'
import { parseData, type ResourceRow } from '@nxmesh/master/config/config-store'
import { openDatabase } from '@nxmesh/master/database/open-database'
import { everyClass } from '@nxmesh/master/http/rate-limiter'
import { workspaceOf } from '@nxmesh/master/tenancy/tenancy-rules'
import { Hono } from 'hono'
import pino from 'pino'
import { locationsOf } from './hosts.ts'

/**
 * The process that the API benchmark loads: a whole master, and beside it the same queries behind bare Hono without authorization.
 * Says on its output, as one line of JSON, where both listen; ends when its input ends.
 */

const HOSTS = 100
const PAGE = 20
const UNLIMITED = everyClass({ burst: 1e9, per_s: 1e9 })

const [, , dir = ''] = process.argv
const config = await loadConfig({
  flags: { 'data-dir': dir, listen: '127.0.0.1:0', 'listen-plain': '127.0.0.1:0' },
})
const master = await startMaster(config, {
  log: pino({ level: 'error' }),
  rates: { principal: UNLIMITED, address: UNLIMITED },
})
const base_url = master.plain_url ?? ''
const { api_key, workspace_id, id } = await fill()
const db = await openDatabase(config.database_url, error => console.error(error))

/** The queries of the floor are written here, as one writes them: what the product does to be quicker is the product's. */
const resources = () =>
  db.read.selectFrom('resources').where('kind', '=', 'virtual_host').where('deleted_at', 'is', null)

const bare = new Hono()
bare.get('/workspaces', async context => {
  const found = db.read.selectFrom('workspaces').where('id', 'in', [workspace_id])
  const rows = await found.selectAll().orderBy('created_at').orderBy('id').limit(PAGE).offset(0).execute()
  const { total } = await found.select(eb => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return context.json({ data: rows.map(workspaceOf), meta: { total } })
})
bare.get('/:id', async context => {
  const row = await resources().selectAll().where('id', '=', context.req.param('id')).executeTakeFirst()
  return row ? context.json({ data: plain(row) }) : context.notFound()
})
bare.get('/', async context => {
  const found = resources().where('workspace_id', '=', workspace_id)
  const rows = await found.selectAll().orderBy('id').limit(PAGE).offset(0).execute()
  const { total } = await found.select(eb => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return context.json({ data: rows.map(plain), meta: { total } })
})
const floor = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: bare.fetch })

console.log(
  JSON.stringify({ base_url, floor_url: `http://127.0.0.1:${floor.port}`, api_key, workspace_id, id }),
)
process.stdin.resume().on('end', () => void end())

async function end(): Promise<void> {
  await floor.stop(true)
  await db.close()
  await master.stop()
  process.exit(0)
}

/** The same bytes as the API answers: a floor that writes more is none. */
function plain({ id, workspace_id, version_number, created_at, updated_at, data_json }: ResourceRow) {
  return { id, workspace_id, version_number, created_at, updated_at, ...parseData(data_json) }
}

async function fill() {
  const setup_token = master.setup_token ?? ''
  const user = { email: 'bench@example.com', password: 'a password of the benchmark' }
  const session = await makeClient({ base_url }).call('setup', { body: { setup_token, ...user } })
  const token = session.data.token
  const client = makeClient({ base_url, token })
  const [first] = (await client.call('workspaces_list')).data
  const workspace = first?.id ?? ''
  const organization_id = first?.organization_id ?? null
  const key = await client.call('api_keys_create', {
    body: { name: 'bench', role: 'viewer', organization_id, workspace_id: workspace },
  })
  const pool = { workspace_id: workspace, name: 'pool', servers: [{ address: '127.0.0.1:9' }] }
  const upstream_id = (await client.call('upstreams_create', { body: pool })).data.id
  let last = ''
  for (let n = 0; n < HOSTS; n++) {
    const body = {
      workspace_id: workspace,
      name: `site ${n}`,
      server_name: `site${n}.example.com`,
      listen_port: 8088,
      locations: locationsOf(upstream_id, join(dir, 'www'), 'x'),
    }
    last = (await client.call('virtual_hosts_create', { body })).data.id
  }
  return { api_key: key.data.key, workspace_id: workspace, id: last }
}
