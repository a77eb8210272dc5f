import { type AgentSelector, canonicalJson, type Labels, selects } from '@nxmesh/contract'
import type { Snapshot } from './snapshot.ts'

/** An agent as far as planning looks at it. */
export interface PlanAgent {
  readonly id: string
  readonly labels: Labels
}

/** The distinct selectors of a release. */
export interface Selectors {
  readonly by_key: ReadonlyMap<string, AgentSelector>
}

export function selectorsOf(snapshot: Snapshot): Selectors {
  const by_key = new Map<string, AgentSelector>()
  let last: string | null = null
  for (const host of snapshot.hosts) {
    // Neighbours mostly have the same selector.
    if (host.selector_key === last) continue
    last = host.selector_key
    if (!by_key.has(last)) by_key.set(last, host.selector)
  }
  return { by_key }
}

/**
 * The selectors that pick each agent, as one text: agents with the same text get the same bundle. Selectors that list
 * agents cost what they list; the others are tried once for each distinct set of labels, not for each agent.
 */
export function selectionKeys(selectors: Selectors, agents: readonly PlanAgent[]): Map<string, string> {
  const listed = new Map<string, string[]>()
  const general: [string, AgentSelector][] = []
  for (const [key, selector] of selectors.by_key) {
    if (!('agent_ids' in selector)) general.push([key, selector])
    else for (const id of new Set(selector.agent_ids)) push(listed, id, key)
  }
  const of_labels = new Map<string, string[]>()
  const keys = new Map<string, string>()
  for (const agent of agents) {
    const labels_key = canonicalJson(agent.labels)
    let matching = of_labels.get(labels_key)
    if (!matching) {
      matching = general.filter(([, selector]) => selects(selector, agent)).map(([key]) => key)
      of_labels.set(labels_key, matching)
    }
    const own = listed.get(agent.id)
    keys.set(agent.id, JSON.stringify(own ? [...matching, ...own].sort() : [...matching].sort()))
  }
  return keys
}

/** The selectors in a selection key. */
export const selectorKeysIn = (selection_key: string): Set<string> =>
  new Set(JSON.parse(selection_key) as string[])

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
