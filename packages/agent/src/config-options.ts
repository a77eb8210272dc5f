export type OptionType = 'text' | 'pins' | 'path' | 'address' | 'port' | 'flag' | 'paths' | 'level'

export interface Option {
  readonly key: string
  readonly type: OptionType
  readonly help: string
  /** Its value may also be read from the file that `<key>_file` names, and is never printed. */
  readonly secret?: boolean
}

/** Everything that can be set. `nginx.conf_path` is `--nginx-conf-path`, `NXMESH_NGINX_CONF_PATH`, and `nginx: {conf_path}`. */
export const OPTIONS = [
  { key: 'master_url', type: 'text', help: 'https://host:port of the master' },
  { key: 'token', type: 'text', secret: true, help: 'bootstrap token, needed once' },
  { key: 'ca_fingerprint', type: 'text', help: 'SHA-256 of the master’s CA, checked once' },
  {
    key: 'server_key_pin',
    type: 'pins',
    help: 'sha256/<base64> of the master’s key, up to 4; none: any key that the CA signed',
  },
  { key: 'state_dir', type: 'path', help: 'the agent’s own folder' },
  { key: 'name', type: 'text', help: 'name of the agent (default: the host’s)' },
  { key: 'log_level', type: 'level', help: 'debug, info, warn or error' },
  { key: 'nginx.binary', type: 'path', help: 'the nginx executable' },
  { key: 'nginx.conf_path', type: 'path', help: 'nginx.conf (default: what nginx -V says)' },
  {
    key: 'nginx.conf_d_path',
    type: 'path',
    help: 'folder of the deployments (default: conf.d beside nginx.conf)',
  },
  { key: 'nginx.prefix', type: 'path', help: 'nginx -p' },
  { key: 'nginx.pid_path', type: 'path', help: 'pid file (default: what nginx.conf says)' },
  { key: 'nginx.error_log_path', type: 'path', help: 'main error log (default: what nginx.conf says)' },
  {
    key: 'nginx.listen_address',
    type: 'address',
    help: 'address that sites bind to (default: every address)',
  },
  { key: 'nginx.status_port', type: 'port', help: 'loopback port of the status server (0: chosen once)' },
  { key: 'nginx.allowed_roots', type: 'paths', help: 'folders that sites may serve files from' },
  { key: 'nginx.start', type: 'flag', help: 'start nginx when it does not run' },
] as const satisfies readonly Option[]

export type OptionKey = (typeof OPTIONS)[number]['key']

export const DEFAULTS: Partial<Record<OptionKey, string>> = {
  state_dir: '/var/lib/nxmesh-agent',
  log_level: 'info',
  'nginx.status_port': '0',
  'nginx.start': 'false',
}

/** Where the configuration file is looked for when nothing names one; it need not be there. */
export const DEFAULT_CONFIG_FILE = '/etc/nxmesh/agent.yaml'

export const flagOf = (key: string) => key.replace(/[._]/g, '-')
export const variableOf = (key: string) => `NXMESH_${key.replace('.', '_').toUpperCase()}`
