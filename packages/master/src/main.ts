import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { makeAuditLog } from './audit/audit-service.ts'
import type { ServerIdentity } from './certificates/authority.ts'
import { serverNames } from './certificates/certificate-rules.ts'
import { authoritySource, givenSource } from './certificates/identity-source.ts'
import { openListenerCertificate } from './certificates/listener-certificate.ts'
import { type Compose, compose, type MasterServices } from './compose.ts'
import type { MasterConfig } from './config.ts'
import { openDataFolder } from './data-folder.ts'
import { lockDataFolder } from './data-lock.ts'
import type { Database } from './database/database.ts'
import { inWords } from './database/database-errors.ts'
import { checkLarge } from './database/integrity.ts'
import { openDatabase } from './database/open-database.ts'
import { Endings } from './endings.ts'
import { makePublisher } from './events/publish.ts'
import { newId as makeId } from './ids.ts'
import { MASTER_LIMITS } from './limits.ts'
import { makeOutgoing } from './outgoing/make-outgoing.ts'
import { openSecrets } from './secrets/secrets-service.ts'
import { type Listener, listenPlain, listenTls } from './serve.ts'
import { makeHomes } from './tenancy/homes.ts'

export { loadConfig, type MasterConfig } from './config.ts'

export interface RunningMaster {
  /** Under which agents and people reach it, without a slash at its end. */
  readonly url: string
  readonly plain_url: string | null
  /** The port of the TLS listener, for configurations that asked for any free one. */
  readonly port: number
  readonly ca_pem: string
  /** SHA-256 of the CA certificate's DER, hex. */
  readonly ca_fingerprint: string
  /** SHA-256 of the key in the listener's certificate, `sha256/<base64>`. */
  readonly server_key_pin: string
  /** What makes the first administrator; null when there was ever one. */
  readonly setup_token: string | null
  readonly services: MasterServices
  /** Looks for a new certificate of the listener at once (SIGHUP); it does so by itself every few seconds. */
  reloadCertificate(): Promise<void>
  /** Ends everything in order; the data folder is free afterwards. */
  stop(): Promise<void>
}

/** For tests and benchmarks; a master that runs for people gives only the log. */
export interface MasterOverrides {
  readonly log: Logger
  readonly now?: () => Date
  readonly newId?: () => string
  readonly rates?: Compose['rates']
  readonly certificate_look_ms?: number
}

/**
 * Starts a master: the real composition root, for the executable as for tests and benchmarks. Resolves when it serves.
 * Throws, with everything taken given back, what the operator must mend: `DataFolderInUseError`, `DatabaseUnreachableError`, `DatabaseTooNewError`,
 * `DatabaseLostError`, `DatabaseDamagedError`, `FileModeError`, `MasterKeyError`, `CertificateError`, `ListenError`.
 */
export async function startMaster(config: MasterConfig, overrides: MasterOverrides): Promise<RunningMaster> {
  const endings = new Endings()
  try {
    return await start(config, overrides, endings)
  } catch (error) {
    await endings.run().catch(err => overrides.log.error({ err }, 'A start that failed could not be undone'))
    throw inWords(error, config.database_url)
  }
}

async function start(
  config: MasterConfig,
  overrides: MasterOverrides,
  endings: Endings,
): Promise<RunningMaster> {
  const log = overrides.log.child({ component: 'master' })
  const began_ms = performance.now()
  const folder = openDataFolder(config.data_dir)
  endings.add(lockDataFolder(config.data_dir))
  const ground = await openGround(config, overrides, endings, folder.had_data)
  const { db, now } = ground
  const certificate = await openCertificate(config, overrides, ground, endings)
  const { identity } = certificate

  const integrity = checkLarge(
    config.database_url,
    err => log.error({ err }, 'The database is damaged: the master is not ready any more'),
    err => log.warn({ err }, 'The database could not be looked through for damage'),
  )
  endings.add(() => integrity.stop())
  const reached = { url: '' }
  const parts = compose({
    ...ground,
    ...(overrides.rates ? { rates: overrides.rates } : {}),
    log: overrides.log,
    masterUrl: () => reached.url,
    caFingerprint: () => identity().ca_fingerprint,
    outgoing: makeOutgoing({ allow: config.outgoing_allow }),
    serverKeyPin: () => identity().server_key_pin,
    agent_keys: config.agent_keys,
    ready: async () => !integrity.damaged() && (await isReady(db)),
  })
  endings.add(() => parts.stop())
  const setup_token = await parts.services.setup.issueToken()
  await parts.recover()
  // From here on someone may put data into it.
  folder.markUsed(now())

  const listeners = listen(config, identity(), parts)
  endings.add(() => listeners.stop())
  certificate.follow(parts.services.audit, next => listeners.tls.replace(next))
  endings.add(() => certificate.stop())
  reached.url = config.public_url ?? `https://${reachableHost(config)}:${listeners.tls.port}`
  const plain_url =
    listeners.plain && config.listen_plain
      ? `http://${inUrl(config.listen_plain.host)}:${listeners.plain.port}`
      : null

  log.info({ url: reached.url, plain_url, startup_ms: Math.round(performance.now() - began_ms) }, 'Ready')
  return {
    url: reached.url,
    plain_url,
    port: listeners.tls.port,
    get ca_pem() {
      return identity().ca_pem
    },
    get ca_fingerprint() {
      return identity().ca_fingerprint
    },
    get server_key_pin() {
      return identity().server_key_pin
    },
    setup_token,
    services: parts.services,
    reloadCertificate: () => certificate.reload(),
    stop: () => endings.run(),
  }
}

/** What everything stands on: the database, the audit log, the secrets. */
async function openGround(
  config: MasterConfig,
  overrides: MasterOverrides,
  endings: Endings,
  had_data: boolean,
) {
  const now = overrides.now ?? (() => new Date())
  const newId = overrides.newId ?? makeId
  const log = overrides.log.child({ component: 'master' })
  const db = await openDatabase(
    config.database_url,
    err => log.warn({ err }, 'A database connection was lost'),
    { had_data },
  )
  endings.add(() => db.close())
  const publisher = makePublisher()
  const organizationOf = makeHomes()
  const audit = makeAuditLog({ db, now, newId, organizationOf, appended: publisher.changes.audit })
  const secrets_log = overrides.log.child({ component: 'secrets' })
  const secrets = await openSecrets({ db, source: config.master_key, audit, log: secrets_log, now, newId })
  endings.add(() => secrets.stop())
  return { db, publisher, audit, secrets, now, newId }
}

type Ground = Awaited<ReturnType<typeof openGround>>

/** What the listener shows; watched, so that its end comes as no surprise. */
async function openCertificate(
  config: MasterConfig,
  overrides: MasterOverrides,
  { db, secrets, now, newId }: Ground,
  endings: Endings,
) {
  const log = overrides.log.child({ component: 'certificates' })
  const certificate = await openListenerCertificate({
    source: config.tls
      ? givenSource(config.tls, now)
      : authoritySource({ db, secrets, now, data_dir: config.data_dir }, namesOf(config)),
    log,
    newId,
    ...(overrides.certificate_look_ms ? { look_ms: overrides.certificate_look_ms } : {}),
  })
  const look = () => warnOfEnd(certificate.identity(), now(), log)
  look()
  const daily = setInterval(look, DAY_MS)
  endings.add(() => clearInterval(daily))
  return certificate
}

function listen(config: MasterConfig, identity: ServerIdentity, parts: ReturnType<typeof compose>) {
  const doors = { events: parts.events_door, trusted: config.trusted_proxies }
  const tls = listenTls(config.listen, identity, parts.app, parts.channel_door, doors)
  let plain: Listener | null = null
  try {
    plain = config.listen_plain ? listenPlain(config.listen_plain, parts.app, doors) : null
  } catch (error) {
    void tls.stop(0)
    throw error
  }
  const stop = async () => {
    await parts.closeSockets()
    await Promise.all([tls.stop(MASTER_LIMITS.stop_grace_ms), plain?.stop(MASTER_LIMITS.stop_grace_ms)])
  }
  return { tls, plain, stop }
}

const namesOf = (config: MasterConfig) =>
  serverNames({
    hostname: hostname(),
    listen_host: config.listen.host,
    public_url: config.public_url,
    server_names: config.server_names,
  })

const isAny = (host: string) => host === '0.0.0.0' || host === '::'
const inUrl = (host: string) => (host.includes(':') ? `[${host}]` : host)
const reachableHost = (config: MasterConfig) =>
  isAny(config.listen.host) ? hostname() : inUrl(config.listen.host)

const DAY_MS = 86_400_000

function warnOfEnd(identity: ServerIdentity, now: Date, log: Logger): void {
  if (identity.not_after.getTime() - now.getTime() > MASTER_LIMITS.server_certificate_warn_days * DAY_MS)
    return
  log.warn(
    { not_after: identity.not_after.toISOString() },
    'The certificate of the listener ends soon: put its successor in its place, it is taken without a restart',
  )
}

async function isReady(db: Database): Promise<boolean> {
  try {
    await db.read.selectFrom('instance_facts').select('key').limit(1).execute()
    return true
  } catch {
    return false
  }
}
