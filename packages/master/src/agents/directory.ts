import type { Places } from '../access/access-service.ts'
import type { Database } from '../database/database.ts'
import type { AgentDirectory, KnownAgent } from './agents.ts'
import { factsOf, labelsOf } from './agents-rules.ts'
import { type AgentRow, agentById, agentsIn } from './agents-store.ts'

/** The agents of the workspaces that were asked for, in memory; writers of this area tell it what they committed. */
export interface Directory extends AgentDirectory {
  /** After the commit. */
  put(row: AgentRow): void
  remove(row: Pick<AgentRow, 'id' | 'workspace_id'>): void
  /** After it was deleted. */
  forgetWorkspace(workspace_id: string): void
}

type Entry = Omit<KnownAgent, 'online'>

/** A workspace that is being read, and what was committed since: null for what was deleted. */
interface Loading {
  readonly entries: Promise<Map<string, Entry>>
  readonly since: Map<string, Entry | null>
}

export interface DirectoryDeps {
  readonly db: Database
  readonly places: Pick<Places, 'placeOf'>
  readonly isOnline: (agent_id: string) => boolean
  /** Told of each agent that was made, changed or deleted. */
  readonly changed?: AgentChanged
}

/** `workspace_id` null: not known to who tells. */
export type AgentChanged = (agent: {
  readonly agent_id: string
  readonly workspace_id: string | null
}) => void

export function makeDirectory({ db, places, isOnline, changed }: DirectoryDeps): Directory {
  // The agents of a workspace that was deleted have rows for a while: they are nobody's.
  const isThere = async (workspace_id: string) => (await places.placeOf(workspace_id)) !== null
  const workspaces = new Map<string, Map<string, Entry>>()
  const workspace_of = new Map<string, string>()
  const loading = new Map<string, Loading>()

  const withPresence = (entry: Entry): KnownAgent => ({ ...entry, online: isOnline(entry.id) })

  const keep = (
    workspace_id: string,
    rows: readonly AgentRow[],
    since: ReadonlyMap<string, Entry | null>,
  ) => {
    const entries = new Map(rows.map(row => [row.id, entryOf(row)]))
    for (const [id, entry] of since) {
      if (entry) entries.set(id, entry)
      else entries.delete(id)
    }
    workspaces.set(workspace_id, entries)
    for (const id of entries.keys()) workspace_of.set(id, workspace_id)
    return entries
  }
  const load = async (workspace_id: string): Promise<Map<string, Entry>> => {
    const since = new Map<string, Entry | null>()
    const entries = isThere(workspace_id)
      .then(there => (there ? agentsIn(db.read, workspace_id) : []))
      .then(rows => keep(workspace_id, rows, since))
      .finally(() => loading.delete(workspace_id))
    loading.set(workspace_id, { entries, since })
    return await entries
  }
  const entriesOf = (workspace_id: string) =>
    workspaces.get(workspace_id) ?? loading.get(workspace_id)?.entries ?? load(workspace_id)
  const change = (workspace_id: string, id: string, entry: Entry | null) => {
    changed?.({ agent_id: id, workspace_id })
    loading.get(workspace_id)?.since.set(id, entry)
    const entries = workspaces.get(workspace_id)
    if (!entries) return
    if (entry) {
      entries.set(id, entry)
      workspace_of.set(id, workspace_id)
    } else {
      entries.delete(id)
      workspace_of.delete(id)
    }
  }
  const workspaceOf = async (agent_id: string): Promise<string | null> => {
    const known = workspace_of.get(agent_id)
    if (known !== undefined) return known
    const row = await agentById(db.read, agent_id)
    return row && (await isThere(row.workspace_id)) ? row.workspace_id : null
  }

  return {
    workspaceOf,
    async agentsOf(workspace_id) {
      return [...(await entriesOf(workspace_id)).values()].map(withPresence)
    },
    async agentOf(agent_id) {
      const workspace_id = await workspaceOf(agent_id)
      const entry = workspace_id === null ? undefined : (await entriesOf(workspace_id)).get(agent_id)
      return entry ? withPresence(entry) : null
    },
    put: row => change(row.workspace_id, row.id, entryOf(row)),
    remove: row => change(row.workspace_id, row.id, null),
    forgetWorkspace(workspace_id) {
      for (const id of workspaces.get(workspace_id)?.keys() ?? []) workspace_of.delete(id)
      workspaces.delete(workspace_id)
    },
  }
}

const entryOf = (row: AgentRow): Entry => ({
  id: row.id,
  workspace_id: row.workspace_id,
  name: row.name,
  labels: labelsOf(row.labels_json),
  facts: factsOf(row.facts_json),
})
