import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { INSTANCE_PERMISSIONS, PERMISSIONS, type Permission, type RoleName } from '@nxmesh/contract'
import { type Client, makeClient } from '@nxmesh/contract/client'
import { loadConfig, type RunningMaster, startMaster } from '@nxmesh/master'
import { everyClass } from '@nxmesh/master/http/rate-limiter'
import { makeLog } from '@nxmesh/master/log'

/** Where an object lies, seen from a caller who is bound to `own`. */
export interface Place {
  readonly organization_id: string
  readonly workspace_id: string
}

/** A caller with one role in one place; `permissions` and `place` are what the endpoint table is asked with. */
export interface Actor {
  readonly name: string
  readonly token: string | null
  readonly permissions: ReadonlySet<Permission>
  /** Null: the instance. Without workspace_id the whole organization. */
  readonly bound: { readonly organization_id: string; readonly workspace_id: string | null } | null
  /** A built-in role: it has what usually belongs together. */
  readonly built_in: boolean
}

/** A whole master with two organizations, and somebody who may do everything in both. */
export interface MatrixWorld {
  readonly master: RunningMaster
  readonly base_url: string
  readonly root: Client
  readonly own: Place
  /** Another workspace of the same organization. */
  readonly sibling: Place
  readonly foreign: Place
  actors(): Promise<Actor[]>
  /** A word that no object has yet. */
  fresh(word: string): string
  stop(): Promise<void>
}

const NO_RATE = everyClass({ burst: 1e9, per_s: 1e9 })
const PASSWORD = 'a long password for tests'

export async function openMatrixWorld(): Promise<MatrixWorld> {
  const data_dir = mkdtempSync(join(tmpdir(), 'nxmesh-matrix-'))
  const config = await loadConfig({
    flags: { 'data-dir': data_dir, listen: '127.0.0.1:0', 'listen-plain': '127.0.0.1:0' },
  })
  const log = makeLog('error', { write: () => undefined })
  const master = await startMaster(config, { log, rates: { principal: NO_RATE, address: NO_RATE } })
  const base_url = master.plain_url ?? ''
  const setup = await makeClient({ base_url }).call('setup', {
    body: { setup_token: master.setup_token ?? '', email: 'root@example.com', password: PASSWORD },
  })
  const root = makeClient({ base_url, token: setup.data.token })
  let count = 0
  const fresh = (word: string) => `${word}-${++count}`
  const organization = async () =>
    (await root.call('organizations_create', { body: { name: 'x', slug: fresh('org') } })).data.id
  const place = async (organization_id: string): Promise<Place> => {
    const slug = fresh('ws')
    const body = { organization_id, name: slug, slug }
    return { organization_id, workspace_id: (await root.call('workspaces_create', { body })).data.id }
  }
  const home = await organization()
  const [own, sibling, foreign] = [await place(home), await place(home), await place(await organization())]
  return {
    master,
    base_url,
    root,
    own,
    sibling,
    foreign,
    fresh,
    actors: () => makeActors({ base_url, root, own, fresh }),
    async stop() {
      await master.stop()
      rmSync(data_dir, { recursive: true, force: true })
    },
  }
}

/** Every built-in role at the organization and at the workspace, and for each permission a role that has it alone. */
async function makeActors(world: Pick<MatrixWorld, 'base_url' | 'root' | 'own' | 'fresh'>): Promise<Actor[]> {
  const { base_url, root, own, fresh } = world
  const key = async (role: string, bound: Actor['bound']) => {
    const place = bound ?? { organization_id: null, workspace_id: null }
    const { data } = await root.call('api_keys_create', { body: { name: fresh('actor'), role, ...place } })
    return data.key
  }
  const permissionsOf = async (token: string) => {
    const { data } = await makeClient({ base_url, token }).call('me')
    return new Set(data.permissions)
  }
  const actors: Actor[] = [
    { name: 'nobody', token: null, permissions: new Set(), bound: null, built_in: true },
  ]
  const add = async (name: string, role: string, bound: Actor['bound'], built_in: boolean) => {
    const token = await key(role, bound)
    actors.push({ name, token, bound, built_in, permissions: await permissionsOf(token) })
  }
  const whole = { organization_id: own.organization_id, workspace_id: null }
  await add('instance_admin', 'instance_admin', null, true)
  for (const role of ['owner', 'admin', 'operator', 'deployer', 'viewer'] satisfies RoleName[]) {
    await add(`${role} of the organization`, role, whole, true)
    await add(`${role} of the workspace`, role, own, true)
  }
  for (const permission of PERMISSIONS) {
    if ((INSTANCE_PERMISSIONS as readonly Permission[]).includes(permission)) continue
    const body = { organization_id: own.organization_id, name: permission, permissions: [permission] }
    const role = (await root.call('roles_create', { body })).data.id
    await add(`only ${permission} at the organization`, role, whole, false)
    await add(`only ${permission} at the workspace`, role, own, false)
  }
  return actors
}
