import type { OperationId } from '@nxmesh/contract'
import type { MatrixWorld, Place } from './matrix-world.ts'

/** One request, made for an object in a place. */
export interface Asked {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export interface Sample {
  /** Makes what the request is about, as somebody who may do everything. */
  readonly make: (world: MatrixWorld, at: Place, level: Level) => Promise<Asked>
  /** Codes that a caller gets who was let in, beside success. */
  readonly also?: readonly string[]
  /** Why a role with the endpoint's permission alone does not get through; the built-in roles do. */
  readonly needs_more?: string
  /**
   * A list that shows what the caller may see to whoever has the permission: `unasked` where no place is named, also `inside`
   * the organization that is named, or `everywhere`.
   */
  readonly filtered?: 'unasked' | 'inside' | 'everywhere'
  /** An account lies in no place: who may not see it is told that there is none. */
  readonly hidden?: true
  /** The object is used up by a call that succeeds. */
  readonly consumed?: true
}

/** At which scope the object lies: an organization's own, or a workspace's. */
export type Level = 'instance' | 'organization' | 'workspace'

type Make = Sample['make']

const none: Make = async () => ({})
const inWorkspace: Make = async (_world, { workspace_id }) => ({ query: { workspace_id } })
const inPlace: Make = async (_world, { organization_id, workspace_id }, level) => ({
  query: level === 'organization' ? { organization_id } : level === 'workspace' ? { workspace_id } : {},
})
const atOrganization: Make = async (_world, { organization_id }) => ({ params: { id: organization_id } })
const atWorkspace: Make = async (_world, { workspace_id }) => ({ params: { id: workspace_id } })
const scopeOf = ({ organization_id, workspace_id }: Place, level: Level) => ({
  organization_id: level === 'instance' ? null : organization_id,
  workspace_id: level === 'workspace' ? workspace_id : null,
})

async function agent({ root, fresh }: MatrixWorld, { workspace_id }: Place) {
  return (await root.call('agents_create', { body: { workspace_id, name: fresh('agent') } })).data.id
}
async function upstream({ root, fresh }: MatrixWorld, { workspace_id }: Place) {
  const body = { workspace_id, name: fresh('pool'), servers: [{ address: '127.0.0.1:9' }] }
  return (await root.call('upstreams_create', { body })).data.id
}
const site = ({ fresh }: MatrixWorld, { workspace_id }: Place) => ({
  workspace_id,
  name: fresh('site'),
  server_name: `${fresh('site')}.example.com`,
  listen_port: 8_080,
  locations: [{ path: '/', root: '/srv' }],
})
async function virtualHost(world: MatrixWorld, at: Place) {
  return (await world.root.call('virtual_hosts_create', { body: site(world, at) })).data.id
}
async function deployment(world: MatrixWorld, at: Place) {
  await upstream(world, at)
  const { data } = await world.root.call('deployments_list', { query: { workspace_id: at.workspace_id } })
  return data[0]?.id ?? ''
}
async function role({ root, fresh }: MatrixWorld, { organization_id }: Place) {
  const body = { organization_id, name: fresh('role'), permissions: ['user:read' as const] }
  return (await root.call('roles_create', { body })).data.id
}
const invitation = (world: MatrixWorld, at: Place, level: Level, role_id: string) =>
  world.root.call('invitations_create', {
    body: { email: `${world.fresh('person')}@example.com`, role: role_id, ...scopeOf(at, level) },
  })
/** Somebody with a small role in the place. */
async function user(world: MatrixWorld, at: Place, level: Level) {
  const role_id = level === 'instance' ? 'instance_admin' : await role(world, at)
  const { data } = await invitation(world, at, level, role_id)
  const { makeClient } = await import('@nxmesh/contract/client')
  const made = await makeClient({ base_url: world.base_url }).call('accept_invitation', {
    body: { token: data.link.token, password: 'a long password for tests' },
  })
  return made.data
}
async function apiKey({ root, fresh }: MatrixWorld, at: Place, level: Level) {
  const role = level === 'instance' ? 'instance_admin' : 'viewer'
  const body = { name: fresh('key'), role, ...scopeOf(at, level) }
  return (await root.call('api_keys_create', { body })).data.id
}

/** Without discovery, so nobody is asked. */
const provider = ({ fresh }: MatrixWorld) => ({
  name: fresh('provider'),
  kind: 'github' as const,
  client_id: 'x',
})
async function identityProvider(world: MatrixWorld) {
  return (await world.root.call('identity_providers_create', { body: provider(world) })).data.id
}

const by = (make: (world: MatrixWorld, at: Place, level: Level) => Promise<string>): Make => {
  return async (world, at, level) => ({ params: { id: await make(world, at, level) } })
}
const withBody =
  (make: Make, body: unknown): Make =>
  async (world, at, level) => ({ ...(await make(world, at, level)), body })
const userId = by(async (world, at, level) => (await user(world, at, level)).user.id)
const GIVES = 'nobody gives or changes more than they have'

/**
 * A request for every endpoint: the compiler refuses a table with one that has none. For those of the endpoint table that
 * ask for a permission, the matrix is made of them.
 */
export const SAMPLES: Readonly<Record<OperationId, Sample>> = {
  setup: { make: none },
  login: { make: none },
  refresh: { make: none },
  logout: { make: none, also: ['CONFLICT'] },
  accept_invitation: { make: none },
  reset_password: { make: none },
  me: { make: none },
  me_update: { make: withBody(none, { name: 'x' }), also: ['CONFLICT'] },
  me_password: {
    make: withBody(none, { current_password: 'x', new_password: 'a long password for tests' }),
    also: ['CONFLICT'],
  },
  me_accept_invitation: { make: withBody(none, { token: 'nxv_'.padEnd(47, 'A') }), also: ['CONFLICT'] },
  me_sessions_list: { make: none, also: ['CONFLICT'] },
  me_sessions_delete: {
    make: async world => ({ params: { id: world.own.workspace_id } }),
    also: ['CONFLICT'],
  },
  audit_log_list: { make: inPlace, filtered: 'inside' },

  users_list: { make: inPlace, filtered: 'unasked' },
  users_get: { make: userId, hidden: true },
  users_update: {
    make: withBody(userId, { name: 'renamed' }),
    needs_more: 'it reads the user first',
    hidden: true,
  },
  users_delete: { make: userId, consumed: true, needs_more: 'it reads the user first', hidden: true },
  users_reset_link: { make: userId, needs_more: 'it reads the user first', hidden: true },
  user_sessions_list: { make: userId, hidden: true },
  user_sessions_delete: {
    make: async (world, at, level) => {
      const made = await user(world, at, level)
      return { params: { id: made.user.id, session_id: made.session_id } }
    },
    consumed: true,
    needs_more: 'it reads the user first',
    hidden: true,
  },
  invitations_list: { make: inPlace, filtered: 'unasked' },
  invitations_create: {
    make: async (world, at, level) => ({
      body: {
        email: `${world.fresh('person')}@example.com`,
        role: level === 'instance' ? 'instance_admin' : 'viewer',
        ...scopeOf(at, level),
      },
    }),
    needs_more: GIVES,
  },
  invitations_delete: {
    make: by(
      async (world, at, level) =>
        (await invitation(world, at, level, level === 'instance' ? 'instance_admin' : 'viewer')).data.id,
    ),
    consumed: true,
  },
  roles_list: { make: async (_world, { organization_id }) => ({ query: { organization_id } }) },
  roles_create: {
    make: async (world, { organization_id }) => ({
      body: { organization_id, name: world.fresh('role'), permissions: ['agent:read'] },
    }),
    needs_more: GIVES,
  },
  roles_get: { make: by(role) },
  roles_update: {
    make: async (world, at) => ({
      params: { id: await role(world, at) },
      body: { name: world.fresh('role') },
    }),
    needs_more: GIVES,
  },
  roles_delete: { make: by(role), consumed: true, needs_more: GIVES },
  role_bindings_list: { make: inPlace, filtered: 'unasked' },
  role_bindings_create: {
    make: async (world, at, level) => ({
      body: {
        user_id: (await user(world, at, level === 'instance' ? 'organization' : level)).user.id,
        role: level === 'instance' ? 'instance_admin' : 'viewer',
        ...scopeOf(at, level),
      },
    }),
    needs_more: GIVES,
    consumed: true,
  },
  role_bindings_delete: {
    make: async (world, at, level) => {
      const { user: made } = await user(world, at, level)
      const query = { user_id: made.id, per_page: '1' as never }
      const { data } = await world.root.call('role_bindings_list', { query })
      return { params: { id: data[0]?.id ?? '' } }
    },
    consumed: true,
    needs_more: GIVES,
  },
  api_keys_list: { make: inPlace, filtered: 'unasked' },
  api_keys_create: {
    make: async (world, at, level) => ({
      body: {
        name: world.fresh('key'),
        role: level === 'instance' ? 'instance_admin' : 'viewer',
        ...scopeOf(at, level),
      },
    }),
    needs_more: GIVES,
  },
  api_keys_delete: { make: by(apiKey), consumed: true },

  identity_providers_list: { make: none },
  identity_providers_create: { make: async world => ({ body: provider(world) }) },
  identity_providers_get: { make: by(identityProvider) },
  identity_providers_update: { make: withBody(by(identityProvider), { allow_sign_up: false }) },
  identity_providers_delete: { make: by(identityProvider), consumed: true },
  auth_providers_list: { make: none },
  auth_provider_login: { make: none },
  auth_callback: { make: none },
  me_identities_list: { make: none, also: ['CONFLICT'] },
  me_identities_link: {
    make: async world => ({ body: { provider_id: await identityProvider(world) } }),
    also: ['CONFLICT'],
  },
  me_identities_delete: {
    make: async world => ({ params: { id: world.own.workspace_id } }),
    also: ['CONFLICT'],
  },

  organizations_list: { make: none, filtered: 'everywhere' },
  organizations_create: { make: async world => ({ body: { name: 'x', slug: world.fresh('org') } }) },
  organizations_get: { make: atOrganization },
  organizations_update: { make: withBody(atOrganization, { name: 'renamed' }) },
  organizations_delete: { make: atOrganization, also: ['CONFIRMATION_REQUIRED'] },
  organization_workspaces_list: { make: atOrganization, filtered: 'inside' },
  organization_workspaces_create: {
    make: async (world, { organization_id }) => ({
      params: { id: organization_id },
      body: { name: world.fresh('ws'), slug: world.fresh('ws') },
    }),
  },
  workspaces_list: { make: none, filtered: 'everywhere' },
  workspaces_create: {
    make: async (world, { organization_id }) => ({
      body: { organization_id, name: world.fresh('ws'), slug: world.fresh('ws') },
    }),
  },
  workspaces_get: { make: atWorkspace },
  workspaces_update: {
    make: async (world, at, level) => ({
      ...(await atWorkspace(world, at, level)),
      body: { name: world.fresh('renamed') },
    }),
  },
  workspaces_delete: { make: atWorkspace, also: ['CONFIRMATION_REQUIRED'] },

  agents_register: { make: none },
  agents_list: { make: inWorkspace },
  agents_create: {
    make: async (world, { workspace_id }) => ({ body: { workspace_id, name: world.fresh('agent') } }),
  },
  agents_get: { make: by(agent) },
  agents_update: {
    make: async (world, at) => ({
      params: { id: await agent(world, at) },
      body: { name: world.fresh('agent') },
    }),
  },
  agents_delete: { make: by(agent), consumed: true },
  agents_lift_hold: { make: by(agent), also: ['CONFLICT'] },
  agent_keys_list: { make: by(agent) },
  agents_rotate_key: { make: by(agent), also: ['CONFLICT'] },
  agents_revoke_keys: { make: by(agent) },
  agent_tokens_create: { make: withBody(by(agent), {}) },
  workspace_tokens_create: { make: withBody(atWorkspace, {}) },
  workspace_tokens_list: { make: atWorkspace },
  workspace_tokens_delete: {
    make: async (world, { workspace_id: id }) => {
      const made = await world.root.call('workspace_tokens_create', { params: { id }, body: {} })
      return { params: { id, token_id: made.data.id } }
    },
    consumed: true,
  },

  upstreams_list: { make: inWorkspace },
  upstreams_create: {
    make: async (world, { workspace_id }) => ({
      body: { workspace_id, name: world.fresh('pool'), servers: [{ address: '127.0.0.1:9' }] },
    }),
  },
  upstreams_get: { make: by(upstream) },
  upstreams_update: { make: withBody(by(upstream), { algorithm: 'ip_hash' }) },
  upstreams_delete: { make: by(upstream), consumed: true },
  upstreams_versions_list: { make: by(upstream) },
  upstreams_versions_get: {
    make: async (world, at) => ({ params: { id: await upstream(world, at), version: '1' } }),
  },
  virtual_hosts_list: { make: inWorkspace },
  virtual_hosts_create: { make: async (world, at) => ({ body: site(world, at) }) },
  virtual_hosts_get: { make: by(virtualHost) },
  virtual_hosts_update: { make: withBody(by(virtualHost), { gzip_enabled: true }) },
  virtual_hosts_delete: { make: by(virtualHost), consumed: true },
  virtual_hosts_versions_list: { make: by(virtualHost) },
  virtual_hosts_versions_get: {
    make: async (world, at) => ({ params: { id: await virtualHost(world, at), version: '1' } }),
  },
  deployments_list: { make: inWorkspace },
  deployments_get: { make: by(deployment) },
}
