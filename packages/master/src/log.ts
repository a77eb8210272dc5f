import pino, { type DestinationStream, type Logger } from 'pino'
import type { LogLevel } from './config.ts'

/**
 * One line of JSON for each event, in the shape of OB-001: timestamp, level, component, message, fields. An error in the
 * field `err` is written with its stack and the chain of its causes. Fields never hold secrets. Take a child for each area:
 * `log.child({ component: 'http' })`.
 */
export function makeLog(level: LogLevel, to: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: 'message',
      nestedKey: 'fields',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: label => ({ level: label.toUpperCase() }) },
    },
    to,
  )
}
