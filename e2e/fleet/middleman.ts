import { SIGNATURE_HEADERS } from '@nxmesh/contract/channel/signing'
import { loadMaker } from '@nxmesh/master/certificates/load-maker'

type Frame = Uint8Array | string
/** What to pass on instead of a frame; several make a repetition, none swallows it. */
export type Tampering = (frame: Frame, number: number) => readonly Frame[]

/**
 * Someone who broke TLS: has a certificate that the agent trusts, and changes frames on their way. What TLS cannot prevent
 * any more, the frames' own sequence numbers and MACs must.
 */
export interface Middleman {
  readonly url: string
  readonly ca_pem: string
  /** From the agent to the master, and back; the greeting is number 0. */
  toMaster: Tampering
  toAgent: Tampering
  stop(): Promise<void>
}

const untouched: Tampering = frame => [frame]

export async function startMiddleman(master: { url: string; ca_pem: string }): Promise<Middleman> {
  const { makeCa, makeServerCertificate } = await loadMaker()
  const ca = await makeCa(new Date())
  const certificate = await makeServerCertificate(ca, ['127.0.0.1'], new Date())
  const tampering = { toMaster: untouched, toAgent: untouched }
  interface Relay {
    readonly headers: Record<string, string>
    readonly path: string
    readonly early: Frame[]
    upstream: WebSocket | null
    open: boolean
    sent: number
    received: number
  }
  const server = Bun.serve<Relay>({
    hostname: '127.0.0.1',
    port: 0,
    tls: { cert: certificate.certificate_pem, key: certificate.key_pem },
    fetch(request, self) {
      const url = new URL(request.url)
      const headers = Object.fromEntries(
        Object.values(SIGNATURE_HEADERS).map(name => [name, request.headers.get(name) ?? '']),
      )
      const path = url.pathname + url.search
      const data = { headers, path, early: [], upstream: null, open: false, sent: 0, received: 0 }
      return self.upgrade(request, { data }) ? undefined : new Response(null, { status: 400 })
    },
    websocket: {
      open(near) {
        const relay = near.data
        const upstream = new WebSocket(master.url.replace('https:', 'wss:') + relay.path, {
          headers: relay.headers,
          tls: { ca: master.ca_pem },
        } as never)
        upstream.binaryType = 'arraybuffer'
        relay.upstream = upstream
        upstream.onopen = () => {
          relay.open = true
          for (const frame of relay.early.splice(0)) upstream.send(frame as string)
        }
        upstream.onmessage = ({ data }) => {
          const frame = typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer)
          for (const one of tampering.toAgent(frame, relay.received++)) near.send(one as string)
        }
        upstream.onclose = () => near.close()
        upstream.onerror = () => near.close()
      },
      message(near, data) {
        const relay = near.data
        const frame = typeof data === 'string' ? data : new Uint8Array(data)
        for (const one of tampering.toMaster(frame, relay.sent++)) {
          if (relay.open) relay.upstream?.send(one as string)
          else relay.early.push(one)
        }
      },
      close(near) {
        near.data.upstream?.close()
      },
    },
  })
  return {
    url: `https://127.0.0.1:${server.port}`,
    ca_pem: ca.certificate_pem,
    get toMaster() {
      return tampering.toMaster
    },
    set toMaster(value) {
      tampering.toMaster = value
    },
    get toAgent() {
      return tampering.toAgent
    },
    set toAgent(value) {
      tampering.toAgent = value
    },
    stop: () => server.stop(true),
  }
}
