import { X509Certificate } from 'node:crypto'
import type { Logger } from 'pino'
import { nobody } from '../access/nobody.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { ServerIdentity } from './authority.ts'
import type { IdentitySource } from './identity-source.ts'

/** The certificate that the listener shows, and its successors while the master runs. */
export interface ListenerCertificate {
  /** What is shown now. */
  identity(): ServerIdentity
  /** From here on new content is taken by itself. `take` serves it, or throws and leaves everything as it was. */
  follow(audit: AuditLog, take: (identity: ServerIdentity) => void): void
  /** Looks at once and judges what is there, as a person asks for with SIGHUP. */
  reload(): Promise<void>
  /** Resolves when nothing of it runs any more. */
  stop(): Promise<void>
}

export interface ListenerCertificateDeps {
  readonly source: IdentitySource
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly newId: () => string
  /** Shorter for tests. */
  readonly look_ms?: number
}

/**
 * Throws `CertificateError` when there is nothing to serve. What comes later and cannot be served is not taken: what is shown
 * goes on, and the log says once why.
 */
export async function openListenerCertificate(deps: ListenerCertificateDeps): Promise<ListenerCertificate> {
  const { source, log } = deps
  const first = await source.look()
  let identity = first.identity()
  let taken_key = first.key
  let seen_key = first.key
  let refused = ''
  let serve: ((identity: ServerIdentity) => Promise<void>) | null = null
  let timer: ReturnType<typeof setInterval> | undefined
  let last = Promise.resolve()

  /** One line for one reason. */
  const refuse = (why: string, err: unknown) => {
    if (refused !== why)
      log.error({ err }, 'A new certificate of the listener is not taken: the old one goes on')
    refused = why
  }

  const look = async (at_once: boolean): Promise<void> => {
    const found = await source.look()
    const seen_before = seen_key
    seen_key = found.key
    if (found.key === taken_key) {
      refused = ''
      return
    }
    if (source.written_by_others && !at_once && found.key !== seen_before) return
    try {
      const next = found.identity()
      await serve?.(next)
    } catch (error) {
      return refuse(found.key, error)
    }
    taken_key = found.key
    refused = ''
  }

  /** One after the other: a signal may come while a look runs. */
  const run = (at_once: boolean): Promise<void> => {
    if (!serve) return Promise.resolve()
    last = last.then(() => look(at_once)).catch(error => refuse(String(error), error))
    return last
  }

  return {
    identity: () => identity,
    follow(audit, take) {
      serve = async next => {
        const before = identity
        take(next)
        identity = next
        await noteChange(before, next, { ...deps, audit })
      }
      timer = setInterval(() => void run(false), deps.look_ms ?? source.look_ms)
    },
    reload: () => run(true),
    async stop() {
      clearInterval(timer)
      serve = null
      await last
    },
  }
}

/** It is served already: what cannot be written down is said in the log. */
async function noteChange(
  before: ServerIdentity,
  after: ServerIdentity,
  { audit, log, newId }: Pick<ListenerCertificateDeps, 'log' | 'newId'> & { audit: AuditLog },
): Promise<void> {
  log.info(factsOf(after), 'A new certificate of the listener is served')
  if (before.ca_fingerprint !== after.ca_fingerprint)
    log.warn(
      { before: before.ca_fingerprint, after: after.ca_fingerprint },
      'The new certificate has another CA: agents that joined before stay connected, but cannot connect again until nxmesh-agent rejoin',
    )
  const caller = nobody({
    principal: { type: 'system', id: null },
    name: 'master',
    door: 'system',
    ip_address: null,
    request_id: newId(),
  })
  const event = {
    action: 'server_certificate.reload',
    object_type: 'server_certificate',
    before: factsOf(before),
    after: factsOf(after),
  }
  await audit
    .record(caller, event)
    .catch((err: unknown) => log.error({ err }, 'A new certificate of the listener could not be audited'))
}

function factsOf({ chain_pem, not_after, ca_fingerprint, made_by }: ServerIdentity) {
  const { serialNumber, subjectAltName } = new X509Certificate(chain_pem)
  return {
    serial_number: serialNumber.toLowerCase(),
    names: subjectAltName ?? '',
    not_after: not_after.toISOString(),
    ca_fingerprint,
    made_by,
  }
}
