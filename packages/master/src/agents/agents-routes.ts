import { page } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { AgentKeyDoors, Agents, BootstrapTokens, Registration } from './agents.ts'

export type AgentRoutes = RoutesOf<
  | 'agents_register'
  | 'agents_list'
  | 'agents_create'
  | 'agents_get'
  | 'agents_update'
  | 'agents_delete'
  | 'agents_lift_hold'
  | 'agent_tokens_create'
  | 'workspace_tokens_create'
  | 'workspace_tokens_list'
  | 'workspace_tokens_delete'
  | 'agent_keys_list'
  | 'agents_rotate_key'
  | 'agents_revoke_keys'
>

export function agentRoutes(services: {
  agents: Agents
  tokens: BootstrapTokens
  registration: Registration
  keys: AgentKeyDoors
}): AgentRoutes {
  const { agents, tokens, registration, keys } = services
  return {
    agents_register: async ({ caller, body }) => ({
      body: { data: await registration.register(caller, body) },
    }),
    agents_list: async ({ caller, query, url }) => ({
      body: page(query, await agents.list(caller, query), url),
    }),
    agents_create: async ({ caller, body }) => ({ body: { data: await agents.create(caller, body) } }),
    agents_get: async ({ caller, params }) => ({ body: { data: await agents.get(caller, params.id) } }),
    agents_update: async ({ caller, params, body }) => ({
      body: { data: await agents.update(caller, params.id, body) },
    }),
    agents_delete: async ({ caller, params }) => {
      await agents.remove(caller, params.id)
      return { body: undefined }
    },
    agents_lift_hold: async ({ caller, params }) => ({
      body: { data: await agents.liftHold(caller, params.id) },
    }),
    agent_keys_list: async ({ caller, params, query, url }) => ({
      body: page(query, await keys.list(caller, params.id, query), url),
    }),
    agents_rotate_key: async ({ caller, params }) => ({
      body: { data: await keys.rotate(caller, params.id) },
    }),
    agents_revoke_keys: async ({ caller, params }) => ({
      body: { data: await keys.revoke(caller, params.id) },
    }),
    agent_tokens_create: async ({ caller, params, body }) => ({
      body: { data: await tokens.forAgent(caller, params.id, body) },
    }),
    workspace_tokens_create: async ({ caller, params, body }) => ({
      body: { data: await tokens.forWorkspace(caller, params.id, body) },
    }),
    workspace_tokens_list: async ({ caller, params, query, url }) => ({
      body: page(query, await tokens.list(caller, params.id, query), url),
    }),
    workspace_tokens_delete: async ({ caller, params }) => {
      await tokens.revoke(caller, params.id, params.token_id)
      return { body: undefined }
    },
  }
}
