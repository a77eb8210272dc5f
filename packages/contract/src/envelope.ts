import { z } from 'zod'
import type { ErrorCode, ErrorDetail } from './errors.ts'
import { LIMITS } from './limits.ts'

/** MF-001: a single object answers `{data}` (with `meta` where there is something to say), a list `{data, meta, links}`. */
export const single = <T extends z.ZodType>(data: T) => z.object({ data })

export const singleWithMeta = <T extends z.ZodType, M extends z.ZodType>(data: T, meta: M) =>
  z.object({ data, meta })

export const PageMeta = z.object({ page: z.int(), per_page: z.int(), total: z.int() })
export type PageMeta = z.infer<typeof PageMeta>

export const PageLinks = z.object({
  self: z.string(),
  next: z.string().nullable(),
  prev: z.string().nullable(),
})

export const list = <T extends z.ZodType>(item: T) =>
  z.object({ data: z.array(item).max(LIMITS.page_max), meta: PageMeta, links: PageLinks })

/** Query parameters that every list takes. */
export const PageQuery = z.strictObject({
  page: z.coerce.number().int().min(1).max(LIMITS.page_number_max).default(1),
  per_page: z.coerce.number().int().min(1).max(LIMITS.page_max).default(LIMITS.page_default),
})

export const ErrorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.array(z.object({ field: z.string(), message: z.string() })),
    request_id: z.string().optional(),
  }),
})
export type ErrorBody = {
  error: { code: ErrorCode; message: string; details: ErrorDetail[]; request_id?: string }
}
