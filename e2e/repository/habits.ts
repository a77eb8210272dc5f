import type { Rule } from './layers.ts'
import { codeOnly, isTest } from './sources.ts'

/** Habits of the house that can be read off a file. */

const LINES_MAX = 300
export const filesStaySmall: Rule = sources =>
  sources.flatMap(one => {
    const lines = one.text.split('\n').length - 1
    return lines > LINES_MAX ? [`${one.path} has ${lines} lines; at most ${LINES_MAX}`] : []
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

/** Where tests and benchmarks may let time pass: pollers with a deadline, and links that are slow on purpose. */
export const WAITING_FILES: Readonly<Record<string, string>> = {
  'e2e/support/until.ts': 'waits for a condition with a deadline',
  'packages/master/src/database/testing-postgres.ts': 'waits until the cluster answers',
}
const WAITS = /(?<![.\w])(?:setTimeout|setInterval|Bun\.sleep|Bun\.sleepSync|sleep)\s*\(/
export const testsDoNotSleep: Rule = sources =>
  sources
    .filter(
      one => isTest(one.path) && !one.path.startsWith('bench/') && !Object.hasOwn(WAITING_FILES, one.path),
    )
    .flatMap(one => {
      const found = WAITS.exec(codeOnly(one.text))
      return found ? [`${one.path} uses ${found[0]}…: wait for a condition with a deadline instead`] : []
    })
