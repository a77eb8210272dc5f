import { type AuditEntry, type EventsEvent, type EventTopic, LIMITS } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { ChangeReaders, Changes } from './events.ts'
import { type EventPlace, type Happening, tailOf } from './events-rules.ts'
import { type Gathered, makeGather } from './gather.ts'

/** Every event of the events socket is made in this file: from what areas tell after a commit to the text that readers get. */
export interface Publisher {
  /** For the areas. Until `connect`, and as long as nobody reads, nothing is kept of what they tell. */
  readonly changes: Changes
  connect(to: PublishTo): void
  stop(): void
}

export interface PublishTo {
  readonly read: ChangeReaders
  /** Whether anybody reads a topic. */
  readonly wanted: (topic: EventTopic) => boolean
  readonly deliver: (happenings: readonly Happening[]) => Promise<void>
  /** Sends the readers of a topic away: so much changed that it cannot even be said where. */
  readonly flood: (topic: EventTopic) => void
  readonly log: Pick<Logger, 'error'>
  readonly now: () => Date
}

type Event = EventsEvent extends infer One
  ? One extends EventsEvent
    ? Omit<One, 'sequence' | 'at'>
    : never
  : never

export function makePublisher(): Publisher {
  let to: PublishTo | null = null
  const wants = (topic: EventTopic): PublishTo | null => (to?.wanted(topic) ? to : null)

  /** Reads and tells what was gathered. What could not be read is told as "read it again". */
  const teller =
    <T>(topic: EventTopic, eventsOf: (to: PublishTo, one: Full<T>) => Promise<readonly Event[]>) =>
    async (batch: readonly Gathered<T>[]): Promise<void> => {
      const target = wants(topic)
      if (!target) return
      const at = target.now().toISOString()
      const happenings: Happening[] = []
      for (const { place, items } of batch) {
        const events = items && (await eventsOf(target, { place, items }).catch(failed(target, topic)))
        const messages = events
          ? events.map(event => ({ ...event, at }))
          : [{ type: 'resync', at, topic, ...place }]
        for (const message of messages) happenings.push({ topic, place, tail: tailOf(message) })
      }
      if (happenings.length > 0) await target.deliver(happenings)
    }
  const gather = <T>(
    topic: EventTopic,
    eventsOf: (to: PublishTo, one: Full<T>) => Promise<readonly Event[]>,
  ) => makeGather<T>(teller(topic, eventsOf), () => to?.flood(topic))

  const deployments = gather<null>('deployments', deploymentEvents)
  const agents = gather<null>('agents', agentEvents)
  const audit = gather<AuditEntry>('audit', async (_, { place, items }) =>
    [...items.values()].map(entry => auditEvent(place, entry)),
  )

  /** With the organization, so that whoever reads a whole organization finds it. */
  const inWorkspace = (target: PublishTo, workspace_id: string, add: (place: EventPlace) => void) =>
    void target.read.organizationOf(workspace_id).then(
      organization_id => add({ workspace_id, organization_id }),
      err => {
        failed(target, 'deployments')(err)
        add({ workspace_id, organization_id: null })
      },
    )

  return {
    changes: {
      deployment({ id, workspace_id }) {
        const target = wants('deployments')
        if (target) inWorkspace(target, workspace_id, place => deployments.add(place, id, null))
      },
      agent({ agent_id, workspace_id }) {
        const target = wants('agents')
        if (!target) return
        const add = (home: string) => inWorkspace(target, home, place => agents.add(place, agent_id, null))
        if (workspace_id !== null) return add(workspace_id)
        // Null: it was deleted, which its own area tells with its workspace.
        void target.read
          .workspaceOf(agent_id)
          .then(home => (home === null ? undefined : add(home)), failed(target, 'agents'))
      },
      audit(entry) {
        const target = wants('audit')
        if (!target) return
        const { workspace_id, organization_id } = entry
        const add = (place: EventPlace) => audit.add(place, entry.id, entry)
        if (workspace_id === null || organization_id !== null) add({ workspace_id, organization_id })
        else inWorkspace(target, workspace_id, add)
      },
    },
    connect(target) {
      to = target
    },
    stop() {
      to = null
      for (const one of [deployments, agents, audit]) one.stop()
    },
  }
}

/** What was gathered of one place, all of it named. */
interface Full<T> {
  readonly place: EventPlace
  readonly items: ReadonlyMap<string, T>
}

const failed = (to: PublishTo, topic: EventTopic) => (err: unknown) => {
  to.log.error({ err, topic }, 'What changed could not be read for the events socket')
  return null
}

async function deploymentEvents(
  { read }: PublishTo,
  { place, items }: Full<null>,
): Promise<readonly Event[]> {
  const { workspace_id } = place
  if (workspace_id === null) return []
  const found = await read.deployments([...items.keys()])
  return found.map(({ deployment, target_states }) => ({
    type: 'event',
    topic: 'deployments',
    workspace_id,
    deployment_id: deployment.id,
    deployment,
    target_states,
  }))
}

async function agentEvents({ read }: PublishTo, { place, items }: Full<null>): Promise<readonly Event[]> {
  const { workspace_id } = place
  if (workspace_id === null) return []
  const found = new Map((await read.agents([...items.keys()])).map(agent => [agent.id, agent]))
  return [...items.keys()].map(agent_id => ({
    type: 'event',
    topic: 'agents',
    workspace_id,
    agent_id,
    agent: found.get(agent_id) ?? null,
  }))
}

function auditEvent(place: EventPlace, entry: AuditEntry): Event {
  const event = { type: 'event', topic: 'audit', ...place } as const
  const whole = { ...event, entry, shortened: false }
  // Room for what stands around it.
  if (Buffer.byteLength(JSON.stringify(whole)) <= LIMITS.events_event_bytes - 256) return whole
  return { ...event, entry: { ...entry, before: null, after: null }, shortened: true }
}
