import { join } from 'node:path'
import { type Result, table, writeResults } from './results.ts'

/** `npm run bench [-- part …]`: every part, or those that are named. */
const PARTS: Record<string, () => Promise<Result[]>> = {
  edit: async () => (await import('./edit.ts')).benchEdit(),
  memory: async () => (await import('./memory.ts')).benchMemory(),
  api: async () => (await import('./api.ts')).benchApi(),
  events: async () => (await import('./events.ts')).benchEvents(),
}

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter(name => !Object.hasOwn(PARTS, name))
  if (unknown.length > 0) {
    console.error(`bench: no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`)
    return 2
  }
  const results: Result[] = []
  for (const name of names.length > 0 ? names : Object.keys(PARTS))
    results.push(...((await PARTS[name]?.()) ?? []))
  console.log(table(results))
  for (const { what, steps_ms } of results)
    if (steps_ms) console.log(`\n${what}, medians by step:\n${stepLines(steps_ms)}`)
  console.log(`\n${writeResults(join(import.meta.dir, 'results'), results, new Date())}`)
  return 0
}

const stepLines = (steps: Readonly<Record<string, number>>): string =>
  Object.entries(steps)
    .map(([step, ms]) => `  ${step.padEnd(32)} ${ms.toFixed(1).padStart(8)} ms`)
    .join('\n')

process.exit(await main(process.argv.slice(2)))
