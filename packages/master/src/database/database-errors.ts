const SQLITE_UNIQUE = new Set(['SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY'])
const POSTGRES_UNIQUE = '23505'

/** Whether a write failed because another row has the same unique value. The transaction must end: PostgreSQL takes nothing more in it. */
export function isUniqueViolation(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && (code === POSTGRES_UNIQUE || SQLITE_UNIQUE.has(code))
}
