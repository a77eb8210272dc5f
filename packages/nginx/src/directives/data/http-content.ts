/** What answers with files, and what changes answers on their way. Form of the rows: see `../row.ts`. */
import type { ModuleRows } from '../row.ts'

export const httpContentRows: readonly ModuleRows[] = [
  {
    module: 'http_gzip_module',
    rows: [
      ['gzip', 'hslj', 'flag', 'flag'],
      ['gzip_buffers', 'hsl', '2', 'number size'],
      ['gzip_types', 'hsl', '1-*', 'text'],
      ['gzip_comp_level', 'hsl', '1', 'number'],
      ['gzip_window', 'hsl', '1', 'size'],
      ['gzip_hash', 'hsl', '1', 'size'],
      ['postpone_gzipping', 'hsl', '1', 'size'],
      ['gzip_no_buffer', 'hsl', 'flag', 'flag'],
      ['gzip_min_length', 'hsl', '1', 'size'],
    ],
  },
  {
    module: 'http_gzip_static_module',
    rows: [['gzip_static', 'hsl', '1', 'off|on|always']],
  },
  {
    module: 'http_gunzip_module',
    rows: [
      ['gunzip', 'hsl', 'flag', 'flag'],
      ['gunzip_buffers', 'hsl', '2', 'number size'],
    ],
  },
  {
    module: 'http_charset_module',
    rows: [
      ['charset', 'hslj', '1', 'variables'],
      ['source_charset', 'hslj', '1', 'variables'],
      ['override_charset', 'hslj', 'flag', 'flag'],
      ['charset_types', 'hsl', '1-*', 'text'],
      ['charset_map', 'h', '2{', 'text'],
    ],
  },
  {
    module: 'http_sub_module',
    rows: [
      ['sub_filter', 'hsl', '2', 'variables'],
      ['sub_filter_types', 'hsl', '1-*', 'text'],
      ['sub_filter_once', 'hsl', 'flag', 'flag'],
      ['sub_filter_last_modified', 'hsl', 'flag', 'flag'],
    ],
  },
  {
    module: 'http_addition_module',
    rows: [
      ['add_before_body', 'hsl', '1', 'text'],
      ['add_after_body', 'hsl', '1', 'text'],
      ['addition_types', 'hsl', '1-*', 'text'],
    ],
  },
  {
    module: 'http_ssi_module',
    rows: [
      ['ssi', 'hslj', 'flag', 'flag'],
      ['ssi_silent_errors', 'hsl', 'flag', 'flag'],
      ['ssi_ignore_recycled_buffers', 'hsl', 'flag', 'flag'],
      ['ssi_min_file_chunk', 'hsl', '1', 'size'],
      ['ssi_value_length', 'hsl', '1', 'size'],
      ['ssi_types', 'hsl', '1-*', 'text'],
      ['ssi_last_modified', 'hsl', 'flag', 'flag'],
    ],
  },
  {
    module: 'http_slice_module',
    rows: [['slice', 'hsl', '1', 'size']],
  },
  {
    module: 'http_autoindex_module',
    rows: [
      ['autoindex', 'hsl', 'flag', 'flag'],
      ['autoindex_format', 'hsl', '1', 'html|json|jsonp|xml'],
      ['autoindex_localtime', 'hsl', 'flag', 'flag'],
      ['autoindex_exact_size', 'hsl', 'flag', 'flag'],
    ],
  },
  {
    module: 'http_random_index_module',
    rows: [['random_index', 'l', 'flag', 'flag']],
  },
  {
    module: 'http_dav_module',
    rows: [
      ['dav_methods', 'hsl', '1-*', 'off|put|delete|mkcol|copy|move'],
      ['create_full_put_path', 'hsl', 'flag', 'flag'],
      ['min_delete_depth', 'hsl', '1', 'number'],
      ['dav_access', 'hsl', '1-3', 'text'],
    ],
  },
  {
    module: 'http_flv_module',
    rows: [['flv', 'l', '0', 'text']],
  },
  {
    module: 'http_mp4_module',
    rows: [
      ['mp4', 'l', '0', 'text'],
      ['mp4_buffer_size', 'hsl', '1', 'size'],
      ['mp4_max_buffer_size', 'hsl', '1', 'size'],
      ['mp4_start_key_frame', 'hsl', 'flag', 'flag', '1.21.4'],
    ],
  },
  {
    module: 'http_empty_gif_module',
    rows: [['empty_gif', 'l', '0', 'text']],
  },
  {
    module: 'http_stub_status_module',
    rows: [['stub_status', 'sl', '0-1', 'text']],
  },
]
