import { AgentMessage, type AgentMessageOf, type MasterMessage } from '@nxmesh/contract'
import { CLOSE_CODES } from '@nxmesh/contract/channel/signing'
import type { Logger } from 'pino'
import type { AgentKeys, AgentOrigins } from './agent-keys.ts'
import type { AgentSocket } from './agent-socket.ts'
import type { Channel, ChannelListener } from './channel.ts'
import type { Instances } from './instances.ts'
import { type Lanes, makeLanes } from './lanes.ts'
import type { Refusals } from './refusals.ts'

export interface RegistryDeps {
  readonly keys: AgentKeys
  readonly origins: AgentOrigins
  readonly refusals: Refusals
  readonly instances: Instances
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** A clock that nobody sets. */
  readonly now_ms: () => number
  readonly heartbeat_ms: number
  readonly silence_ms: number
  readonly handshake_ms: number
}

/** Who is connected, and the way of each frame from the socket to the listeners. */
export interface Registry extends Channel {
  /** Listeners are called one after the other, in the order in which they were added. */
  listen(listener: ChannelListener): void
  /** Greeted; its hello must come within the handshake's time. */
  opened(socket: AgentSocket): void
  frame(socket: AgentSocket, frame: Uint8Array | string): void
  closed(socket: AgentSocket): void
  /** Cuts who fell silent, never said hello, or does not read. */
  sweep(): void
  cutAll(code: number, reason: string): void
  idle(): Promise<void>
}

export function makeRegistry(deps: RegistryDeps): Registry {
  const { log, now_ms } = deps
  const online = new Map<string, AgentSocket>()
  const greeted = new Set<AgentSocket>()
  const listeners: ChannelListener[] = []
  const payloads = makePayloads()

  const lanes: Lanes = makeLanes((agent_id, error) => {
    // A report that was lost here would be waited for; after a reconnection the hello says it again.
    log.error({ err: error, agent_id }, 'A message of an agent could not be handled')
    cut(agent_id, CLOSE_CODES.try_later, 'the master failed to handle a message')
  })

  /** Ends a connection, and tells the listeners when the agent is offline by it. */
  const end = (socket: AgentSocket, code: number, reason: string) => {
    socket.cut(code, reason)
    left(socket)
  }
  const left = (socket: AgentSocket) => {
    greeted.delete(socket)
    const { agent_id } = socket.data
    if (online.get(agent_id) !== socket) return
    online.delete(agent_id)
    lanes.always(agent_id, () => each(listeners, one => one.disconnected(agent_id)))
  }
  const cut = (agent_id: string, code: number, reason: string) => {
    const socket = online.get(agent_id)
    if (socket) end(socket, code, reason)
    for (const one of greeted) if (one.data.agent_id === agent_id) end(one, code, reason)
  }
  /** What the upgrade was granted for may have ended while it was on its way. */
  const endUnlessWelcome = async (socket: AgentSocket): Promise<boolean> => {
    const { agent_id, workspace_id, key_id, ip_address } = socket.data
    const found = await deps.keys.find(agent_id, key_id)
    if (found.state !== 'live') end(socket, CLOSE_CODES.revoked, 'the key ended')
    else if (!(await deps.origins.admits(workspace_id, ip_address)))
      end(socket, CLOSE_CODES.revoked, 'the address is not admitted any more')
    return !socket.closed
  }
  const violation = (socket: AgentSocket, reason: string) => {
    const { agent_id, workspace_id, key_id, ip_address } = socket.data
    const action = 'agent.connection_violation'
    deps.refusals.note({ action, reason, agent_id, workspace_id, key_id, ip_address })
    end(socket, CLOSE_CODES.violation, reason)
  }

  /** The first valid MAC, which must be a hello: from here on the agent is online, and an older connection ends. */
  const welcome = (socket: AgentSocket, hello: AgentMessageOf<'agent_hello'>) => {
    const { agent_id, workspace_id, key_id, ip_address } = socket.data
    const older = online.get(agent_id)
    const incumbent = older?.instance ?? null
    if (incumbent !== null && !deps.instances.mayDisplace(agent_id, incumbent, hello.instance)) {
      const action = 'agent.identity_conflict'
      const reason = 'the same identity is connected from another process'
      deps.refusals.note({ action, reason, agent_id, workspace_id, key_id, ip_address })
      return end(socket, CLOSE_CODES.identity_conflict, reason)
    }
    if (incumbent !== null) deps.instances.displaced(agent_id, incumbent, hello.instance)
    if (older) end(older, CLOSE_CODES.displaced, 'a newer connection of this agent took over')
    socket.instance = hello.instance
    greeted.delete(socket)
    online.set(agent_id, socket)
    socket.send(payloads({ type: 'welcome', agent_id, heartbeat_ms: deps.heartbeat_ms }), now_ms())
    log.info({ agent_id, ip_address, instance: hello.instance }, 'Agent connected')
    lanes.always(agent_id, async () => {
      if (!(await endUnlessWelcome(socket))) return
      const { facts, position } = hello
      await each(listeners, one => one.connected(agent_id, facts, position, ip_address ?? ''))
    })
  }

  const handle = (socket: AgentSocket, message: AgentMessage, bytes: number) => {
    const { agent_id } = socket.data
    if (message.type === 'heartbeat') socket.send(payloads({ type: 'heartbeat_ack' }), now_ms())
    const taken = lanes.run(agent_id, bytes, () => each(listeners, one => one.message(agent_id, message)))
    if (!taken) violation(socket, 'more messages than can be handled')
  }

  return {
    send(agent_id, message) {
      return online.get(agent_id)?.send(payloads(message), now_ms()) ?? false
    },
    isOnline: agent_id => online.has(agent_id),
    linkOf: agent_id => online.get(agent_id)?.link ?? null,
    onlineAgents: () => new Set(online.keys()),
    cut: (agent_id, reason) => cut(agent_id, CLOSE_CODES.revoked, reason),
    listen: listener => void listeners.push(listener),
    cutOutside(workspace_id, admits) {
      for (const socket of [...greeted, ...online.values()])
        if (socket.data.workspace_id === workspace_id && !admits(socket.data.ip_address))
          end(socket, CLOSE_CODES.revoked, 'the address is not admitted any more')
    },
    opened(socket) {
      greeted.add(socket)
      endUnlessWelcome(socket).catch((error: unknown) => {
        log.error({ err: error, agent_id: socket.data.agent_id }, 'An agent could not be checked again')
        end(socket, CLOSE_CODES.try_later, 'the master cannot check this agent now')
      })
    },

    frame(socket, frame) {
      if (socket.closed) return
      const json = typeof frame === 'string' ? null : socket.open(frame)
      if (json === null) return violation(socket, 'a frame was forged, repeated or out of order')
      socket.heard_ms = now_ms()
      const message = readMessage(json)
      if (!message) return violation(socket, 'a message that the protocol does not have')
      const isHello = message.type === 'agent_hello'
      if (isHello !== (socket.instance === null)) return violation(socket, 'the hello comes first, and once')
      if (!isHello) return handle(socket, message, json.length)
      if (message.protocol !== socket.data.protocol) return violation(socket, 'two protocol versions')
      welcome(socket, message)
    },

    closed(socket) {
      socket.closed = true
      left(socket)
      log.info({ agent_id: socket.data.agent_id }, 'Agent connection closed')
    },

    sweep() {
      const now = now_ms()
      for (const socket of greeted)
        if (now - socket.heard_ms >= deps.handshake_ms) end(socket, CLOSE_CODES.silence, 'no hello in time')
      for (const socket of online.values()) {
        if (now - socket.heard_ms >= deps.silence_ms) end(socket, CLOSE_CODES.silence, 'silence')
        else if (socket.isStuck(now, deps.silence_ms)) end(socket, CLOSE_CODES.too_slow, 'reads too slowly')
      }
    },

    cutAll(code, reason) {
      for (const socket of [...greeted, ...online.values()]) end(socket, code, reason)
    },
    idle: lanes.idle,
  }
}

async function each(
  listeners: readonly ChannelListener[],
  call: (one: ChannelListener) => Promise<void>,
): Promise<void> {
  for (const listener of listeners) await call(listener)
}

/** Encodes a message once, however many agents it goes to. */
function makePayloads(): (message: MasterMessage) => Uint8Array {
  const encoder = new TextEncoder()
  const known = new WeakMap<MasterMessage, Uint8Array>()
  return message => {
    const present = known.get(message)
    if (present) return present
    const payload = encoder.encode(JSON.stringify(message))
    known.set(message, payload)
    return payload
  }
}

function readMessage(json: string): AgentMessage | null {
  try {
    const read = AgentMessage.safeParse(JSON.parse(json))
    return read.success ? read.data : null
  } catch {
    return null
  }
}
