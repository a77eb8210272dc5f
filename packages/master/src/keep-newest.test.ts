import { expect, test } from 'bun:test'
import { keepNewest } from './keep-newest.ts'

test('of too many the one that was put there longest ago is forgotten, and putting it again makes it the newest', () => {
  const map = new Map<string, number>()
  const put = (key: string, value: number) => keepNewest(map, key, value, 2)
  put('a', 1)
  put('b', 2)
  put('a', 3)
  put('c', 4)
  expect([...map]).toEqual([
    ['a', 3],
    ['c', 4],
  ])
})
