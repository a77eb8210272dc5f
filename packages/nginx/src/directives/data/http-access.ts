/** Who may, how often, and who they are. Form of the rows: see `../row.ts`. */
import type { ModuleRows } from '../row.ts'

export const httpAccessRows: readonly ModuleRows[] = [
  {
    module: 'http_access_module',
    rows: [
      ['allow', 'hslx', '1', 'text'],
      ['deny', 'hslx', '1', 'text'],
    ],
  },
  {
    module: 'http_auth_basic_module',
    rows: [
      ['auth_basic', 'hslx', '1', 'variables'],
      ['auth_basic_user_file', 'hslx', '1', 'variables'],
    ],
  },
  {
    module: 'http_auth_request_module',
    rows: [
      ['auth_request', 'hsl', '1', 'variables'],
      ['auth_request_set', 'hsl', '2', 'variables'],
    ],
  },
  {
    module: 'http_limit_conn_module',
    rows: [
      ['limit_conn_zone', 'h', '2', 'variables'],
      ['limit_conn', 'hsl', '2', 'text'],
      ['limit_conn_log_level', 'hsl', '1', 'info|notice|warn|error'],
      ['limit_conn_status', 'hsl', '1', 'number'],
      ['limit_conn_dry_run', 'hsl', 'flag', 'flag'],
    ],
  },
  {
    module: 'http_limit_req_module',
    rows: [
      ['limit_req_zone', 'h', '3', 'variables'],
      ['limit_req', 'hsl', '1-3', 'text'],
      ['limit_req_log_level', 'hsl', '1', 'info|notice|warn|error'],
      ['limit_req_status', 'hsl', '1', 'number'],
      ['limit_req_dry_run', 'hsl', 'flag', 'flag'],
    ],
  },
  {
    module: 'http_realip_module',
    rows: [
      ['set_real_ip_from', 'hsl', '1', 'text'],
      ['real_ip_header', 'hsl', '1', 'text'],
      ['real_ip_recursive', 'hsl', 'flag', 'flag'],
    ],
  },
  {
    module: 'http_referer_module',
    rows: [
      ['valid_referers', 'sl', '1-*', 'text'],
      ['referer_hash_max_size', 'sl', '1', 'number'],
      ['referer_hash_bucket_size', 'sl', '1', 'number'],
    ],
  },
  {
    module: 'http_secure_link_module',
    rows: [
      ['secure_link', 'hsl', '1', 'variables'],
      ['secure_link_md5', 'hsl', '1', 'variables'],
      ['secure_link_secret', 'hsl', '1', 'text'],
    ],
  },
  {
    module: 'http_userid_module',
    rows: [
      ['userid', 'hsl', '1', 'off|log|v1|on'],
      ['userid_service', 'hsl', '1', 'number'],
      ['userid_name', 'hsl', '1', 'text'],
      ['userid_domain', 'hsl', '1', 'text'],
      ['userid_path', 'hsl', '1', 'text'],
      ['userid_expires', 'hsl', '1', 'text'],
      [
        'userid_flags',
        'hsl',
        '1-3',
        'off|secure|httponly|samesite=strict|samesite=lax|samesite=none',
        '1.19.3',
      ],
      ['userid_p3p', 'hsl', '1', 'text'],
      ['userid_mark', 'hsl', '1', 'text'],
    ],
  },
]
