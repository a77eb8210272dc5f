/** How a value is written: `list` is comma-separated in flags and environment, a sequence in YAML. */
export type OptionType = 'text' | 'list'

export interface Option {
  readonly type: OptionType
  readonly help: string
  /** A secret is masked when printed, and has a sibling `<key>_file` that names a file to read it from. */
  readonly secret?: true
  /** Written when nothing sets it; absent: unset. */
  readonly default?: string
}

/**
 * Every setting of the master by its key. `tls.key_file` is `tls: {key_file: …}` in YAML, `NXMESH_TLS_KEY_FILE` in the
 * environment and `--tls-key-file` as a flag.
 */
export const OPTIONS = {
  data_dir: { type: 'text', default: '/var/lib/nxmesh', help: 'Where the master keeps its data' },
  listen: { type: 'text', default: '0.0.0.0:8443', help: 'address:port for HTTPS and agents' },
  listen_plain: { type: 'text', help: 'address:port for HTTP without TLS; loopback addresses only' },
  public_url: { type: 'text', help: 'The URL under which agents and people reach this master' },
  server_names: { type: 'list', help: 'More names and addresses for the server certificate' },
  trusted_proxies: {
    type: 'list',
    help: 'Networks (CIDR) of proxies whose X-Forwarded-For counts; none by default',
  },
  'agent_keys.max_age_days': {
    type: 'text',
    default: '30',
    help: 'Days after which an agent is given a new session key',
  },
  'agent_keys.grace_s': {
    type: 'text',
    default: '86400',
    help: 'Seconds for which an agent’s old session key works beside its new one',
  },
  'database.url': {
    type: 'text',
    secret: true,
    help: 'postgresql://… or sqlite:<path>; the default is SQLite in data_dir',
  },
  'tls.certificate_file': { type: 'text', help: 'A certificate chain (PEM) instead of the private CA’s' },
  'tls.key_file': { type: 'text', help: 'Its private key (PEM)' },
  master_key: {
    type: 'text',
    secret: true,
    help: 'The key that wraps all others: 32 bytes in base64 or hex',
  },
  master_key_command: { type: 'text', help: 'A command that prints the master key' },
  'outgoing.allow': {
    type: 'list',
    help: 'Addresses and ranges (CIDR) inside that configured URLs, such as an identity provider’s, may lead to',
  },
  'log.level': { type: 'text', default: 'info', help: 'error, warn, info, debug or trace' },
} as const satisfies Record<string, Option>

export type OptionKey = keyof typeof OPTIONS

export const OPTION_KEYS = Object.keys(OPTIONS) as OptionKey[]

export const flagOf = (key: string) => key.replaceAll(/[._]/g, '-')
export const variableOf = (key: string) => `NXMESH_${key.replaceAll('.', '_').toUpperCase()}`

/** Variables with our prefix that belong to the agent, the demo, the tests or to how the master is started. */
export const FOREIGN_VARIABLES =
  /^NXMESH_(CONFIG|DEMO_\w+|TEST_\w+|BENCH_\w+|AGENT_\w+|FAULTS|TOKEN|TOKEN_FILE|MASTER_URL|CA_FINGERPRINT|SERVER_KEY_PIN|STATE_DIR|NAME|LABELS|NGINX_\w+)$/
