import {
  type CreateIndexBuilder,
  type CreateTableBuilder,
  type Kysely,
  PostgresAdapter,
  type RawBuilder,
  sql,
} from 'kysely'

/** Text or 32-bit integer; `?` allows null. */
export type ColumnType = 'text' | 'text?' | 'int' | 'int?'

export interface TableShape {
  readonly columns: Readonly<Record<string, ColumnType>>
  readonly primary: readonly string[]
  readonly unique?: readonly (readonly string[])[]
  readonly indexes?: readonly (readonly string[])[]
  /** Column → table whose `id` it holds, and what a deletion there does. */
  readonly references?: Readonly<Record<string, { table: string; on_delete: 'cascade' | 'restrict' }>>
}

/**
 * Makes one table with the same meaning on both engines: SQLite's STRICT refuses values of another type as PostgreSQL
 * does, and PostgreSQL's "C" collation orders text by bytes as SQLite does.
 */
export async function makeTable(db: Kysely<unknown>, name: string, shape: TableShape): Promise<void> {
  const postgres = isPostgres(db)
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  let table: CreateTableBuilder<string, string> = db.schema.createTable(name)
  for (const [column, type] of Object.entries(shape.columns)) {
    const target = shape.references?.[column]
    table = table.addColumn(column, type.startsWith('int') ? 'integer' : text, made => {
      const typed = type.endsWith('?') ? made : made.notNull()
      return target ? typed.references(`${target.table}.id`).onDelete(target.on_delete) : typed
    })
  }
  table = table.addPrimaryKeyConstraint(`${name}_pk`, [...shape.primary] as never)
  if (!postgres) table = table.modifyEnd(sql`strict`)
  await table.execute()
  for (const columns of shape.unique ?? []) await makeIndex(db, name, columns, { unique: true })
  for (const columns of shape.indexes ?? []) await makeIndex(db, name, columns)
}

/** `where` makes it partial: only rows that fulfil it are in the index. */
export async function makeIndex(
  db: Kysely<unknown>,
  table: string,
  columns: readonly string[],
  options: { unique?: boolean; where?: RawBuilder<unknown> } = {},
): Promise<void> {
  const name = `${table}_${columns.join('_')}_${options.unique ? 'unique' : 'index'}`
  let index: CreateIndexBuilder = db.schema
    .createIndex(name)
    .on(table)
    .columns([...columns])
  if (options.unique) index = index.unique()
  await (options.where ? index.where(options.where as never) : index).execute()
}

export function isPostgres(db: Kysely<unknown>): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}
