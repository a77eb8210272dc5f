import { errorCode, readText, writeAtomic } from '../host/files.ts'

/** A file of the state folder that cannot be used; says which and what helps. */
export class StateError extends Error {
  override readonly name = 'StateError'
}

/**
 * Reads one of the agent's own JSON files.
 * @returns null when there is none
 * @throws StateError when it is damaged or not ours to read
 */
export function readJsonFile<T>(path: string, isValid: (value: unknown) => value is T): T | null {
  let text: string | null
  try {
    text = readText(path)
  } catch (error) {
    throw new StateError(`cannot read ${path}: ${errorCode(error) ?? 'unknown error'}`)
  }
  if (text === null) return null
  const value = parseOrNull(text)
  if (!isValid(value)) throw new StateError(`${path} is damaged`)
  return value
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export function writeJsonFile(path: string, value: unknown): void {
  writeAtomic(path, JSON.stringify(value))
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether each named field has this type of `typeof`. */
export function hasFields(value: unknown, fields: Readonly<Record<string, string>>): boolean {
  return isRecord(value) && Object.entries(fields).every(([name, type]) => typeof value[name] === type)
}
