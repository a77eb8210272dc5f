import type { Rule } from './layers.ts'
import { codeOnly, isTest } from './sources.ts'

/** Habits of the house that can be read off a file. */

const LINES_MAX = 300
/** A test reads as a list of sentences; it may be longer than what it tests. */
const TEST_LINES_MAX = 450
/** Lists that are read as a whole. */
export const LONG_FILES: Readonly<Record<string, string>> = {
  'packages/master/src/database/tables.ts': 'the schema as types, table by table',
  'packages/master/src/database/migrations/0001-initial-schema.ts': 'the same schema as migration',
}

export const filesStaySmall: Rule = sources =>
  sources
    .filter(one => !Object.hasOwn(LONG_FILES, one.path))
    .flatMap(one => {
      const lines = one.text.split('\n').length - 1
      const most = isTest(one.path) ? TEST_LINES_MAX : LINES_MAX
      return lines > most ? [`${one.path} has ${lines} lines; at most ${most}`] : []
    })

// Written in parts, so that this file does not accuse itself.
const UNFINISHED = new RegExp(
  `\\b(?:${['TO', 'FIX', 'X', 'HA'].map((word, i) => word + ['DO', 'ME', 'XX', 'CK'][i]).join('|')})\\b`,
)
export const nothingIsLeftForLater: Rule = sources =>
  sources.flatMap(one => {
    const line = one.text.split('\n').findIndex(text => UNFINISHED.test(text))
    return line >= 0 ? [`${one.path}:${line + 1} leaves something for later`] : []
  })

/** Where a pause of a fixed length is right. */
export const WAITING_FILES: Readonly<Record<string, string>> = {
  'packages/nginx/src/testing/nginx.ts': 'one attempt of a poller, called in its loop',
}
/** A pause, not a deadline: what goes on afterwards is the waiting function itself. */
const PAUSES = /(?<![.\w])(?:Bun\.sleep(?:Sync)?\s*\(|sleep\s*\(|setTimeout\s*\(\s*\w+\s*,)/
const LOOP = /\b(?:for|while)\s*\(/
const LINES_BEFORE = 12

/** A test may pause in a loop that asks again, never to give something time. */
export const testsDoNotSleep: Rule = sources =>
  sources
    .filter(
      one => isTest(one.path) && !one.path.startsWith('bench/') && !Object.hasOwn(WAITING_FILES, one.path),
    )
    .flatMap(one => {
      const lines = codeOnly(one.text).split('\n')
      const line = lines.findIndex(
        (text, at) =>
          PAUSES.test(text) && !LOOP.test(lines.slice(Math.max(0, at - LINES_BEFORE), at + 1).join('\n')),
      )
      return line >= 0
        ? [`${one.path} pauses (${lines[line]?.trim()}): wait for a condition with a deadline`]
        : []
    })
