import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  filesStaySmall,
  LONG_FILES,
  nothingIsLeftForLater,
  testsDoNotSleep,
  WAITING_FILES,
} from './habits.ts'
import { allSources, isTest, ROOT, source } from './sources.ts'

const sources = allSources()

describe('files stay small enough to find your way in', () => {
  test('in this repository', () => expect(filesStaySmall(sources)).toEqual([]))
  test('the list of long files names none that is gone', () =>
    expect(Object.keys(LONG_FILES).filter(path => !existsSync(join(ROOT, path)))).toEqual([]))
  test('301 lines are too many', () =>
    expect(filesStaySmall([source('bin/x.ts', 'a\n'.repeat(301))])).toHaveLength(1))
})

describe('nothing is left for later', () => {
  test('in this repository', () => expect(nothingIsLeftForLater(sources)).toEqual([]))
  test('a note to oneself is caught', () =>
    expect(nothingIsLeftForLater([source('bin/x.ts', `// ${'TO'}${'DO'}: more`)])).toHaveLength(1))
})

describe('tests wait for conditions, not for luck', () => {
  test('in this repository', () => {
    expect(sources.filter(one => isTest(one.path)).length).toBeGreaterThan(20)
    expect(testsDoNotSleep(sources)).toEqual([])
  })
  test('the list of files that may wait names none that is gone', () =>
    expect(Object.keys(WAITING_FILES).filter(path => !existsSync(join(ROOT, path)))).toEqual([]))
  test('a sleep is caught, in a string it is not one, nor in a loop that asks again', () => {
    const pause = 'await new Promise(resolve => setTimeout(resolve, 100))'
    expect(testsDoNotSleep([source('e2e/x.test.ts', 'await Bun.sleep(100)')])).toHaveLength(1)
    expect(testsDoNotSleep([source('e2e/x.test.ts', pause)])).toHaveLength(1)
    expect(testsDoNotSleep([source('e2e/x.test.ts', `while (!done()) {\n  ${pause}\n}`)])).toEqual([])
    expect(testsDoNotSleep([source('e2e/x.test.ts', 'setTimeout(() => fail(), deadline_ms)')])).toEqual([])
    expect(testsDoNotSleep([source('e2e/x.test.ts', "expect('setTimeout(').toBe(1)")])).toEqual([])
  })
})
