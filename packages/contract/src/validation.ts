import type { z } from 'zod'
import { isNotBuiltIssue } from './entities/config.ts'
import { ApiError, ERRORS, type ErrorDetail } from './errors.ts'
import { LIMITS } from './limits.ts'

type Issue = z.core.$ZodIssue

/**
 * Turns what a schema found into the error of the API: `VALIDATION_ERROR`, or `NOT_BUILT_YET` when every issue is about a
 * field that this version does not have yet. Fields are dotted paths below `prefix`.
 */
export function validationError(
  error: { readonly issues: readonly Issue[] },
  message?: string,
  prefix: readonly PropertyKey[] = [],
): ApiError {
  const code = error.issues.every(isNotBuiltIssue) ? 'NOT_BUILT_YET' : 'VALIDATION_ERROR'
  const details = error.issues.flatMap(issue => detailsOf(issue, prefix)).slice(0, LIMITS.error_details)
  return new ApiError(code, message ?? ERRORS[code].title, { details })
}

function detailsOf(issue: Issue, prefix: readonly PropertyKey[]): ErrorDetail[] {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(key => ({ field: dotted([...path, key]), message: 'There is no such field' }))
  if (issue.code === 'invalid_union') {
    const whole = valueItself(issue.errors)
    if (whole) return [{ field: dotted(path), message: whole }]
    const branch = closestBranch(issue.errors)
    if (branch.length > 0) return branch.flatMap(one => detailsOf(one, path))
  }
  return [{ field: dotted(path), message: issue.message }]
}

/** When every way of a union refuses the value itself, and nothing inside it: all that it may be. */
function valueItself(branches: readonly (readonly Issue[])[]): string | null {
  const issues = branches.flat()
  const whole = issues.every(one => one.path.length === 0 && one.code !== 'unrecognized_keys')
  return whole && issues.length === branches.length
    ? [...new Set(issues.map(one => one.message))].join(', or ')
    : null
}

/** Of the ways in which a union was missed, the one that a person most likely meant: fewest complaints. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const cost = (branch: readonly Issue[]) =>
    branch.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? 2 * issue.keys.length : 1), 0)
  return branches.reduce(
    (best, branch) => (best.length === 0 || cost(branch) < cost(best) ? branch : best),
    branches[0] ?? [],
  )
}

const dotted = (path: readonly PropertyKey[]) => path.map(part => String(part).slice(0, 100)).join('.')
