export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** One line of JSON for each event. Fields never hold secrets. */
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void

const ORDER: Readonly<Record<LogLevel, number>> = { debug: 10, info: 20, warn: 30, error: 40 }

export function makeLog(least: LogLevel, write: (line: string) => void, now: () => Date): Log {
  return (level, message, fields) => {
    if (ORDER[level] < ORDER[least]) return
    write(`${JSON.stringify({ time: now().toISOString(), level, message, ...fields })}\n`)
  }
}
