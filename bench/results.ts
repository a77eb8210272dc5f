import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** One line of the table: what was measured, beside its floor of the same run. */
export interface Result {
  readonly what: string
  readonly unit: 'ms' | 'MB' | 'requests/s' | 'us'
  readonly measured: number
  readonly floor: number | null
  /** The budget as a number of the same unit, or as a multiple of the floor. */
  readonly budget: number | { readonly times_floor: number } | null
  /** Medians of the steps that make it up, in milliseconds. */
  readonly steps_ms?: Readonly<Record<string, number>>
  readonly samples?: Readonly<Record<string, readonly number[]>>
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - 1], sorted[middle]]
  return sorted.length % 2 === 1 ? high : (low + high) / 2
}

/** What a result may be at most; null without a budget. */
export function budgetOf({ budget, floor }: Result): number | null {
  if (budget === null || typeof budget === 'number') return budget
  return floor === null ? null : floor * budget.times_floor
}

function lineOf(one: Result): string[] {
  const limit = budgetOf(one)
  const number = (value: number | null) => (value === null ? '' : value.toFixed(value < 100 ? 1 : 0))
  return [
    one.what,
    `${number(one.measured)} ${one.unit}`,
    number(one.floor),
    one.floor === null ? '' : `${(one.measured / one.floor).toFixed(2)} x`,
    number(limit),
    limit === null ? '' : one.measured <= limit ? 'within' : 'OVER',
  ]
}

export function table(results: readonly Result[]): string {
  const rows = [['what', 'measured', 'floor', 'ratio', 'budget', ''], ...results.map(lineOf)]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0))) ?? []
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Answers the path that it wrote, below the folder. */
export function writeResults(folder: string, results: readonly Result[], at: Date): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${at.toISOString().replaceAll(':', '')}.json`)
  writeFileSync(path, `${JSON.stringify({ at: at.toISOString(), results }, null, 2)}\n`)
  return path
}
