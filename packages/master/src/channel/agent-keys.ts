/** Implemented by the area of agents; answers from a bounded cache. */
export interface AgentKeys {
  find(agent_id: string, key_id: string): Promise<KeyFound>
}

/** Implemented by tenancy: from where the agents of a workspace may come. */
export interface AgentOrigins {
  admits(workspace_id: string, ip_address: string | null): Promise<boolean>
}

export type KeyFound =
  | { readonly state: 'live'; readonly session_key: Uint8Array; readonly workspace_id: string }
  | { readonly state: 'key_not_live'; readonly workspace_id: string }
  | { readonly state: 'unknown_agent' }
