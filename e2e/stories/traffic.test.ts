import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Backend, startBackend } from '../support/backend.ts'
import { fixturesFolder, loggedRequests } from '../support/fixtures.ts'
import { ask } from '../support/request.ts'
import { type AgentUnderTest, type System, startSystem } from '../support/system.ts'

const EDITS = 50
const READERS = 8
const HOST = 'traffic.example.com'

let system: System
let agent: AgentUnderTest
let backend: Backend

beforeAll(async () => {
  ;[system, backend] = await Promise.all([startSystem(), startBackend('app')])
  agent = await system.addAgent()
}, 120_000)

afterAll(async () => {
  await Promise.all([system?.stop(), backend?.stop()])
}, 60_000)

const folder = fixturesFolder()

test.skipIf(folder === null)(
  'real traffic sees not one failed request while fifty edits go live',
  async () => {
    const { client, workspace_id } = system
    const locations = (edit: number) => [
      {
        path: '/',
        proxy_pass: `http://${backend.address}`,
        custom_headers: [{ name: 'X-Edit', value: String(edit) }],
      },
    ]
    const made = await client.call('virtual_hosts_create', {
      query: { wait: 'applied' },
      body: {
        workspace_id,
        name: 'traffic',
        server_name: HOST,
        listen_port: agent.nginx.port,
        locations: locations(0),
      },
    })
    expect(made.meta.deployment?.state).toBe('applied')

    const requests = loggedRequests(folder ?? '')
    expect(requests.length).toBeGreaterThan(1_000)
    const failures: string[] = []
    let asked = 0
    let edits_done = false
    const read = async () => {
      // Every distinct request at least once, and on until the last edit is live.
      for (let next = asked++; next < requests.length || !edits_done; next = asked++) {
        const one = requests[next % requests.length]
        if (!one) continue
        try {
          const answer = await ask({ port: agent.nginx.port, host: HOST, method: one.method, path: one.path })
          if (answer.status !== 200) failures.push(`${one.method} ${one.path}: ${answer.status}`)
        } catch (error) {
          failures.push(`${one.method} ${one.path}: ${String(error)}`)
        }
      }
    }
    const readers = Array.from({ length: READERS }, read)
    const states: (string | undefined)[] = []
    for (let edit = 1; edit <= EDITS; edit++) {
      const done = await client.call('virtual_hosts_update', {
        params: { id: made.data.id },
        query: { wait: 'applied' },
        body: { locations: locations(edit) },
      })
      states.push(done.meta.deployment?.state)
      const seen = await ask({ port: agent.nginx.port, host: HOST })
      expect(seen.headers['x-edit']).toBe(String(edit))
    }
    edits_done = true
    await Promise.all(readers)

    expect(failures).toEqual([])
    expect(states).toEqual(Array(EDITS).fill('applied'))
    expect(asked).toBeGreaterThan(requests.length)
  },
  180_000,
)
