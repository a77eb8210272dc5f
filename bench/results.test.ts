import { expect, test } from 'bun:test'
import { budgetOf, median, type Result, table } from './results.ts'

const sample: Result = {
  what: 'an edit',
  unit: 'ms',
  measured: 130,
  floor: 100,
  budget: { times_floor: 1.25 },
}

test('the median stands in the middle, whatever the order', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('a budget is a number, or a multiple of the floor', () => {
  expect(budgetOf(sample)).toBe(125)
  expect(budgetOf({ ...sample, budget: 45 })).toBe(45)
  expect(budgetOf({ ...sample, floor: null })).toBeNull()
})

test('the table says what is over its budget', () => {
  expect(table([sample])).toContain('1.30 x  125     OVER')
  expect(table([{ ...sample, measured: 120 }])).toContain('within')
})
