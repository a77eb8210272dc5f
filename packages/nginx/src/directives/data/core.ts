/** The main context and events. Form of the rows: see `../row.ts`. */
import type { ModuleRows } from '../row.ts'

export const coreRows: readonly ModuleRows[] = [
  {
    module: 'core',
    rows: [
      ['daemon', 'm', 'flag', 'flag'],
      ['master_process', 'm', 'flag', 'flag'],
      ['timer_resolution', 'm', '1', 'ms'],
      ['pid', 'm', '1', 'text'],
      ['lock_file', 'm', '1', 'text'],
      ['worker_processes', 'm', '1', 'text'],
      ['debug_points', 'm', '1', 'stop|abort'],
      ['user', 'm', '1-2', 'text'],
      ['worker_priority', 'm', '1', 'text'],
      ['worker_cpu_affinity', 'm', '1-*', 'text'],
      ['worker_rlimit_nofile', 'm', '1', 'number'],
      ['worker_rlimit_core', 'm', '1', 'offset'],
      ['worker_shutdown_timeout', 'm', '1', 'ms'],
      ['working_directory', 'm', '1', 'text'],
      ['env', 'm', '1', 'text'],
      ['load_module', 'm', '1', 'text'],
      ['error_log', 'm', '1-*', 'text'],
      ['include', 'mehslijxutvw', '1', 'text'],
      ['events', 'm', '0{', 'text'],
      ['ssl_engine', 'm', '1', 'text'],
      ['pcre_jit', 'm', 'flag', 'flag'],
      ['http', 'm', '0{', 'text'],
      ['thread_pool', 'm', '2-3', 'text'],
      ['ssl_object_cache_inheritable', 'm', 'flag', 'flag', '1.27.4'],
    ],
  },
  {
    module: 'events',
    rows: [
      ['worker_connections', 'e', '1', 'text'],
      ['use', 'e', '1', 'text'],
      ['multi_accept', 'e', 'flag', 'flag'],
      ['accept_mutex', 'e', 'flag', 'flag'],
      ['accept_mutex_delay', 'e', '1', 'ms'],
      ['debug_connection', 'e', '1', 'text'],
      ['epoll_events', 'e', '1', 'number'],
      ['worker_aio_requests', 'e', '1', 'number'],
    ],
  },
]
