import type { CompiledQuery, Kysely } from 'kysely'
import type { Queryable } from './database.ts'
import { isPostgres } from './migrations/make-table.ts'

/** Stands for a value while a query is built. */
class Placeholder {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

interface Buildable<R> {
  compile(): CompiledQuery<R>
}

/**
 * A query that is asked thousands of times a second: built once for each engine, then run with other values. Building costs
 * several times what SQLite takes to answer. `value(name)` stands where the value of that name goes; the query's form
 * must not depend on the values.
 */
export function prepared<Values extends object, R>(
  build: (
    db: Queryable,
    value: <Name extends keyof Values & string>(name: Name) => Values[Name],
  ) => Buildable<R>,
): (db: Queryable, values: Values) => Promise<R[]> {
  const compiled = new Map<boolean, CompiledQuery<R>>()
  const value = (name: string) => new Placeholder(name) as never

  return async (db, values) => {
    const engine = isPostgres(db as unknown as Kysely<unknown>)
    const query = compiled.get(engine) ?? build(db, value).compile()
    compiled.set(engine, query)
    const parameters = query.parameters.map(one =>
      one instanceof Placeholder ? values[one.name as keyof Values] : one,
    )
    return (await db.executeQuery<R>({ ...query, parameters })).rows
  }
}
