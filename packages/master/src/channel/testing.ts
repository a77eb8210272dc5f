import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AgentFacts, type AgentMessage, type AgentPosition, CHANNEL_PATH } from '@nxmesh/contract'
import {
  deriveKeys,
  FrameOpener,
  FrameSealer,
  SIGNATURE_HEADERS,
  signRequest,
} from '@nxmesh/contract/channel/signing'
import pino from 'pino'
import { openTestAudit } from '../audit/testing.ts'
import { openAuthority } from '../certificates/authority.ts'
import { openDatabase } from '../database/open-database.ts'
import { newId } from '../ids.ts'
import { openTestSecrets } from '../secrets/testing.ts'
import { listenTls } from '../serve.ts'
import type { AgentKeys } from './agent-keys.ts'
import type { ChannelListener } from './channel.ts'
import { type ChannelDeps, makeChannelServer } from './make-channel.ts'

/** A real TLS listener with the channel behind it; agents that exist are those in `identities`. */
export async function startTestChannel(
  options: Partial<Pick<ChannelDeps, 'times' | 'admission' | 'origins'>> = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'nxmesh-channel-'))
  const db = await openDatabase(`sqlite:${join(dir, 'master.db')}`, () => {})
  const now = () => new Date()
  const secrets = await openTestSecrets(db)
  const authority = await openAuthority({ db, secrets, now, data_dir: dir }, ['127.0.0.1'])
  const identities = new Map<string, TestIdentity>()
  const listener = makeRecordingListener()
  const server = makeChannelServer({
    origins: { admits: async () => true },
    ...options,
    keys: keysOf(identities),
    audit: openTestAudit(db, now),
    log: pino({ level: 'silent' }),
    now,
    newId,
  })
  server.listen(listener)
  const app = { fetch: async () => new Response(null, { status: 404 }) }
  const tls = listenTls({ host: '127.0.0.1', port: 0 }, authority, app, server)
  return {
    url: `https://127.0.0.1:${tls.port}`,
    port: tls.port,
    ca_pem: authority.ca_pem,
    channel: server.channel,
    listener,
    /** Makes an agent that may connect. */
    addAgent(): TestIdentity {
      const identity = {
        agent_id: newId(),
        key_id: newId(),
        session_key: randomBytes(32),
        workspace_id: newId(),
      }
      identities.set(identity.agent_id, identity)
      return identity
    },
    removeAgent: (agent_id: string) => identities.delete(agent_id),
    auditRows: () =>
      db.read
        .selectFrom('audit_log')
        .select(['action', 'object_id', 'workspace_id', 'result', 'after_json', 'ip_address'])
        .orderBy('sequence')
        .execute(),
    async stop() {
      await server.stop()
      await tls.stop(0)
      await db.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
export type TestChannel = Awaited<ReturnType<typeof startTestChannel>>
/** Where to dial, whichever master it is. */
export type TestTarget = Pick<TestChannel, 'url' | 'ca_pem'>

export interface TestIdentity {
  readonly agent_id: string
  readonly key_id: string
  readonly session_key: Uint8Array
  readonly workspace_id: string
}
type Signer = Omit<TestIdentity, 'workspace_id'>

function keysOf(identities: ReadonlyMap<string, TestIdentity>): AgentKeys {
  return {
    async find(agent_id, key_id) {
      const identity = identities.get(agent_id)
      if (!identity) return { state: 'unknown_agent' }
      return identity.key_id === key_id
        ? { state: 'live', ...identity }
        : { state: 'key_not_live', ...identity }
    },
  }
}

/** Notes what it is told, in order. `hold` keeps every later call waiting until it is released. */
function makeRecordingListener() {
  const events: { agent_id: string; what: string }[] = []
  let gate: Promise<void> = Promise.resolve()
  const note = async (agent_id: string, what: string) => {
    await gate
    events.push({ agent_id, what })
  }
  const listener: ChannelListener = {
    connected: agent_id => note(agent_id, 'connected'),
    message: (agent_id, message) => note(agent_id, message.type),
    disconnected: agent_id => note(agent_id, 'disconnected'),
  }
  return {
    ...listener,
    of: (agent_id: string) => events.filter(event => event.agent_id === agent_id).map(event => event.what),
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return resolve
    },
  }
}

export const TEST_FACTS: AgentFacts = {
  hostname: 'test-host',
  agent_version: '0.1.0',
  renderer_version: '0.1.0',
  deployment_mode: 'standalone',
  capabilities: ['http2'],
  render: {
    nginx_version: '1.26.0',
    modules: ['http_v2'],
    listen_address: null,
    carried: { default_servers: [], http_directives: [] },
  },
}

export const TEST_POSITION: AgentPosition = {
  epoch: 0,
  generation: 0,
  deployment_id: null,
  bundle_hash: null,
  tree_hash: null,
  hold: null,
}

export const testHello = (instance: string): AgentMessage => ({
  type: 'agent_hello',
  protocol: 1,
  instance: instance.padEnd(16, '.'),
  facts: TEST_FACTS,
  position: TEST_POSITION,
})

export const HEARTBEAT: AgentMessage = { type: 'heartbeat', position: TEST_POSITION }

/** The signed headers of an upgrade; what a test wants wrong is overridden, before or after signing. */
export function signedHeaders(
  who: Signer,
  wrong: {
    timestamp_ms?: number
    nonce?: string
    session_key?: Uint8Array
    headers?: Record<string, string>
  } = {},
): Record<string, string> {
  const timestamp = String(wrong.timestamp_ms ?? Date.now())
  const nonce = wrong.nonce ?? randomBytes(24).toString('base64url')
  const signature = signRequest(wrong.session_key ?? who.session_key, {
    method: 'GET',
    path: CHANNEL_PATH,
    agent_id: who.agent_id,
    key_id: who.key_id,
    timestamp,
    nonce,
    body: '',
  })
  return {
    [SIGNATURE_HEADERS.agent]: who.agent_id,
    [SIGNATURE_HEADERS.key_id]: who.key_id,
    [SIGNATURE_HEADERS.timestamp]: timestamp,
    [SIGNATURE_HEADERS.nonce]: nonce,
    [SIGNATURE_HEADERS.protocol]: '1',
    [SIGNATURE_HEADERS.signature]: signature,
    ...wrong.headers,
  }
}

/** The answer to an upgrade that is not taken. */
export async function tryUpgrade(on: TestTarget, headers: Record<string, string>): Promise<Response> {
  return await fetch(on.url + CHANNEL_PATH, {
    headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket', ...WEBSOCKET_KEYS },
    tls: { ca: on.ca_pem },
  })
}
const WEBSOCKET_KEYS = { 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }

/** An agent that speaks the protocol frame by frame, so that a test can break it. */
export interface RawAgent {
  readonly sealer: FrameSealer
  readonly received: string[]
  readonly closed: Promise<number>
  send(bytes: Uint8Array | string): void
  say(message: AgentMessage): void
  close(): void
}

export async function dialRaw(on: TestTarget, who: Signer): Promise<RawAgent> {
  const headers = signedHeaders(who)
  const socket = new WebSocket(on.url.replace('https:', 'wss:') + CHANNEL_PATH, {
    headers,
    tls: { ca: on.ca_pem },
  } as never)
  socket.binaryType = 'arraybuffer'
  const received: string[] = []
  const end = Promise.withResolvers<number>()
  const greeting = Promise.withResolvers<{ nonce: string }>()
  let opener: FrameOpener | null = null
  socket.onmessage = event => {
    if (!opener) return greeting.resolve(JSON.parse(String(event.data)))
    received.push(opener.open(new Uint8Array(event.data as ArrayBuffer)) ?? 'FORGED')
  }
  socket.onclose = event => {
    end.resolve(event.code)
    greeting.reject(new Error(`closed with ${event.code} before the greeting`))
  }
  const { nonce } = await greeting.promise
  const keys = deriveKeys(who.session_key, {
    agent_id: who.agent_id,
    key_id: who.key_id,
    protocol: 1,
    agent_nonce: headers[SIGNATURE_HEADERS.nonce] ?? '',
    server_nonce: nonce,
  })
  opener = new FrameOpener(keys.to_agent)
  const sealer = new FrameSealer(keys.to_master)
  return {
    sealer,
    received,
    closed: end.promise,
    send: bytes => socket.send(bytes as string),
    say: message => socket.send(sealer.seal(JSON.stringify(message)) as never),
    close: () => socket.close(),
  }
}
