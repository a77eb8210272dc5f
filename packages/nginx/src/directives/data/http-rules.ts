/** Variables, conditions and rewriting. Form of the rows: see `../row.ts`. */
import type { ModuleRows } from '../row.ts'

export const httpRulesRows: readonly ModuleRows[] = [
  {
    module: 'http_rewrite_module',
    rows: [
      ['rewrite', 'slij', '2-3', 'variables'],
      ['return', 'slij', '1-2', 'variables'],
      ['break', 'slij', '0', 'text'],
      ['if', 'sl', '1-*{', 'variables'],
      ['set', 'slij', '2', 'variables'],
      ['rewrite_log', 'hslij', 'flag', 'flag'],
      ['uninitialized_variable_warn', 'hslij', 'flag', 'flag'],
    ],
  },
  {
    module: 'http_map_module',
    rows: [
      ['map', 'h', '2{', 'variables'],
      ['map_hash_max_size', 'h', '1', 'number'],
      ['map_hash_bucket_size', 'h', '1', 'number'],
    ],
  },
  {
    module: 'http_geo_module',
    rows: [['geo', 'h', '1-2{', 'text']],
  },
  {
    module: 'http_split_clients_module',
    rows: [['split_clients', 'h', '2{', 'variables']],
  },
  {
    module: 'http_browser_module',
    rows: [
      ['modern_browser', 'hsl', '1-2', 'text'],
      ['ancient_browser', 'hsl', '1-*', 'text'],
      ['modern_browser_value', 'hsl', '1', 'text'],
      ['ancient_browser_value', 'hsl', '1', 'text'],
    ],
  },
  {
    module: 'http_mirror_module',
    rows: [
      ['mirror', 'hsl', '1', 'variables'],
      ['mirror_request_body', 'hsl', 'flag', 'flag'],
    ],
  },
]
