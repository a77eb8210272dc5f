import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { makeIndex, makeTable, type TableShape } from './make-table.ts'

const ACCESS: Record<string, TableShape> = {
  users: {
    columns: {
      id: 'text',
      email: 'text',
      name: 'text',
      password_hash: 'text',
      role: 'text',
      created_at: 'text',
    },
    primary: ['id'],
    unique: [['email']],
  },
  sessions: {
    columns: { id: 'text', user_id: 'text', token_hash: 'text', created_at: 'text', expires_at: 'text' },
    primary: ['id'],
    unique: [['token_hash']],
    indexes: [['user_id'], ['expires_at']],
    references: { user_id: { table: 'users', on_delete: 'cascade' } },
  },
  api_keys: {
    columns: {
      id: 'text',
      user_id: 'text',
      name: 'text',
      prefix: 'text',
      key_hash: 'text',
      created_at: 'text',
      expires_at: 'text?',
      last_used_at: 'text?',
    },
    primary: ['id'],
    unique: [['key_hash']],
    indexes: [['user_id']],
    references: { user_id: { table: 'users', on_delete: 'cascade' } },
  },
  idempotency_keys: {
    columns: {
      principal_id: 'text',
      idempotency_key: 'text',
      request_hash: 'text',
      status: 'int?',
      body: 'text?',
      headers_json: 'text?',
      created_at: 'text',
    },
    primary: ['principal_id', 'idempotency_key'],
    indexes: [['created_at']],
  },
}

const INSTANCE: Record<string, TableShape> = {
  instance_facts: { columns: { key: 'text', value: 'text' }, primary: ['key'] },
  data_keys: {
    columns: { id: 'text', wrapped_key: 'text', created_at: 'text', retired_at: 'text?' },
    primary: ['id'],
  },
  audit_log: {
    columns: {
      sequence: 'int',
      id: 'text',
      at: 'text',
      principal_type: 'text',
      principal_id: 'text?',
      action: 'text',
      object_type: 'text',
      object_id: 'text?',
      organization_id: 'text?',
      workspace_id: 'text?',
      door: 'text',
      ip_address: 'text?',
      result: 'text',
      before_json: 'text?',
      after_json: 'text?',
      hash: 'text',
    },
    primary: ['sequence'],
    unique: [['id']],
    indexes: [
      ['workspace_id', 'sequence'],
      ['action', 'sequence'],
    ],
  },
}

const TENANCY: Record<string, TableShape> = {
  organizations: {
    columns: { id: 'text', name: 'text', slug: 'text', settings_json: 'text', created_at: 'text' },
    primary: ['id'],
    unique: [['slug']],
  },
  workspaces: {
    columns: {
      id: 'text',
      organization_id: 'text',
      name: 'text',
      slug: 'text',
      deploy_mode: 'text',
      created_at: 'text',
      epoch: 'int',
      generation: 'int',
      release_number: 'int',
    },
    primary: ['id'],
    unique: [['organization_id', 'slug']],
    references: { organization_id: { table: 'organizations', on_delete: 'restrict' } },
  },
}

const AGENTS: Record<string, TableShape> = {
  agents: {
    columns: {
      id: 'text',
      workspace_id: 'text',
      name: 'text',
      hostname: 'text',
      ip_address: 'text',
      version: 'text',
      state: 'text',
      state_reason: 'text?',
      deployment_mode: 'text',
      last_seen_at: 'text?',
      labels_json: 'text',
      facts_json: 'text?',
      created_at: 'text',
    },
    primary: ['id'],
    unique: [['workspace_id', 'name']],
    references: { workspace_id: { table: 'workspaces', on_delete: 'restrict' } },
  },
  agent_keys: {
    columns: {
      id: 'text',
      agent_id: 'text',
      sealed_key: 'text',
      status: 'text',
      created_at: 'text',
      ended_at: 'text?',
    },
    primary: ['id'],
    indexes: [['agent_id', 'status']],
    references: { agent_id: { table: 'agents', on_delete: 'cascade' } },
  },
  bootstrap_tokens: {
    columns: {
      id: 'text',
      workspace_id: 'text',
      agent_id: 'text?',
      token_hash: 'text',
      max_uses: 'int',
      uses: 'int',
      expires_at: 'text',
      created_by_type: 'text',
      created_by_id: 'text?',
      created_at: 'text',
    },
    primary: ['id'],
    unique: [['token_hash']],
    indexes: [['workspace_id'], ['agent_id']],
    references: {
      workspace_id: { table: 'workspaces', on_delete: 'cascade' },
      agent_id: { table: 'agents', on_delete: 'cascade' },
    },
  },
}

const CONFIG: Record<string, TableShape> = {
  resources: {
    columns: {
      id: 'text',
      workspace_id: 'text',
      kind: 'text',
      name: 'text',
      version_number: 'int',
      data_json: 'text',
      created_at: 'text',
      updated_at: 'text',
      deleted_at: 'text?',
    },
    primary: ['id'],
    indexes: [
      ['workspace_id', 'kind', 'id'],
      ['kind', 'id'],
    ],
  },
  resource_versions: {
    columns: {
      id: 'text',
      workspace_id: 'text',
      resource_type: 'text',
      resource_id: 'text',
      version_number: 'int',
      data_json: 'text?',
      checksum: 'text',
      created_by_type: 'text',
      created_by_id: 'text?',
      created_at: 'text',
      change_summary: 'text',
    },
    primary: ['id'],
    unique: [['resource_id', 'version_number']],
  },
  resource_references: {
    columns: { from_kind: 'text', from_id: 'text', to_kind: 'text', to_id: 'text' },
    primary: ['from_kind', 'from_id', 'to_kind', 'to_id'],
    indexes: [['to_kind', 'to_id']],
  },
}

const DEPLOYMENTS: Record<string, TableShape> = {
  releases: {
    columns: {
      id: 'text',
      workspace_id: 'text',
      number: 'int',
      created_by_type: 'text',
      created_by_id: 'text?',
      created_at: 'text',
      carried_json: 'text',
    },
    primary: ['id'],
    unique: [['workspace_id', 'number']],
  },
  release_items: {
    columns: {
      workspace_id: 'text',
      kind: 'text',
      resource_id: 'text',
      version_number: 'int',
      from_number: 'int',
      to_number: 'int?',
    },
    primary: ['workspace_id', 'kind', 'resource_id', 'from_number'],
    indexes: [['workspace_id', 'to_number']],
  },
  deployments: {
    columns: {
      id: 'text',
      workspace_id: 'text',
      release_id: 'text',
      release_number: 'int',
      state: 'text',
      trigger_name: 'text',
      reason: 'text?',
      epoch: 'int',
      generation: 'int',
      created_by_type: 'text',
      created_by_id: 'text?',
      created_at: 'text',
      started_at: 'text?',
      decided_at: 'text?',
      finished_at: 'text?',
    },
    primary: ['id'],
    indexes: [['workspace_id', 'id'], ['workspace_id', 'release_number'], ['state']],
  },
  deployment_targets: {
    columns: {
      deployment_id: 'text',
      agent_id: 'text',
      agent_name: 'text',
      state: 'text',
      epoch: 'int',
      generation: 'int',
      bundle_hash: 'text?',
      tree_hash: 'text?',
      error_json: 'text?',
      swapped_back: 'int',
      timings_json: 'text',
      desired_at: 'text?',
      delivered_at: 'text?',
      prepared_at: 'text?',
      committed_at: 'text?',
      loaded_at: 'text?',
      serving_at: 'text?',
      failed_at: 'text?',
    },
    primary: ['deployment_id', 'agent_id'],
    indexes: [['agent_id']],
    references: { deployment_id: { table: 'deployments', on_delete: 'cascade' } },
  },
  rejected_versions: {
    columns: {
      workspace_id: 'text',
      kind: 'text',
      resource_id: 'text',
      version_number: 'int',
      deployment_id: 'text',
      created_at: 'text',
    },
    primary: ['workspace_id', 'kind', 'resource_id', 'version_number'],
  },
  agent_positions: {
    columns: {
      agent_id: 'text',
      desired_deployment_id: 'text?',
      desired_release_number: 'int?',
      desired_epoch: 'int',
      desired_generation: 'int',
      desired_bundle_hash: 'text?',
      serving_deployment_id: 'text?',
      serving_release_number: 'int?',
      serving_bundle_hash: 'text?',
      serving_tree_hash: 'text?',
      serving_since: 'text?',
      epoch: 'int',
      generation: 'int',
      last_error: 'text?',
      hold_since: 'text?',
      hold_reason: 'text?',
    },
    primary: ['agent_id'],
  },
}

/** The order matters: a table that others refer to comes before them. */
export const initialSchema: Migration = {
  async up(db: Kysely<unknown>) {
    for (const area of [ACCESS, INSTANCE, TENANCY, AGENTS, CONFIG, DEPLOYMENTS]) {
      for (const [name, shape] of Object.entries(area)) await makeTable(db, name, shape)
    }
    // A name is free again when its resource is deleted.
    await makeIndex(db, 'resources', ['workspace_id', 'kind', 'name'], {
      unique: true,
      where: sql`deleted_at is null`,
    })
    // A resource is in the newest release at one version.
    await makeIndex(db, 'release_items', ['workspace_id', 'kind', 'resource_id'], {
      unique: true,
      where: sql`to_number is null`,
    })
  },
}
