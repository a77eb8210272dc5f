import type { Tx } from './database.ts'

type Hook = () => void
const pending = new WeakMap<Tx, Hook[]>()

/**
 * Runs `hook` when the transaction has become durable, before whoever began it goes on; never when it is rolled back. For
 * what is kept in memory of the database, and for telling others. It must not throw.
 */
export function afterCommit(tx: Tx, hook: Hook): void {
  const hooks = pending.get(tx)
  if (!hooks) throw new Error('afterCommit() needs a transaction of Database.write()')
  hooks.push(hook)
}

/** `execute` runs a work in one transaction, perhaps more than once; the hooks of the last attempt run. */
export async function withHooks<T>(
  execute: (work: (tx: Tx) => Promise<T>) => Promise<T>,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  let hooks: Hook[] = []
  const result = await execute(async tx => {
    hooks = []
    pending.set(tx, hooks)
    return await work(tx)
  })
  for (const hook of hooks) hook()
  return result
}
