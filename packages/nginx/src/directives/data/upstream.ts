/** Groups of servers. Form of the rows: see `../row.ts`. */
import type { ModuleRows } from '../row.ts'

export const upstreamRows: readonly ModuleRows[] = [
  {
    module: 'http_upstream_module',
    rows: [
      ['upstream', 'h', '1{', 'text'],
      ['server', 'u', '1-*', 'text'],
      ['resolver', 'u', '1-*', 'text', '1.27.3'],
      ['resolver_timeout', 'u', '1', 'ms', '1.27.3'],
    ],
  },
  {
    module: 'http_upstream_hash_module',
    rows: [['hash', 'u', '1-2', 'variables']],
  },
  {
    module: 'http_upstream_ip_hash_module',
    rows: [['ip_hash', 'u', '0', 'text']],
  },
  {
    module: 'http_upstream_least_conn_module',
    rows: [['least_conn', 'u', '0', 'text']],
  },
  {
    module: 'http_upstream_random_module',
    rows: [['random', 'u', '0-2', 'text']],
  },
  {
    module: 'http_upstream_keepalive_module',
    rows: [
      ['keepalive', 'u', '1', 'text'],
      ['keepalive_time', 'u', '1', 'ms', '1.19.10'],
      ['keepalive_timeout', 'u', '1', 'ms'],
      ['keepalive_requests', 'u', '1', 'number'],
    ],
  },
  {
    module: 'http_upstream_zone_module',
    rows: [['zone', 'u', '1-2', 'text']],
  },
]
